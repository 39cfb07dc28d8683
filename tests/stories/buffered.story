# A phone without a connection sends ten minutes in one batch: all is told then, each at its own time.
09:00     ana allows location
09:00     ana stays outside bakery for 1 minute   -> nothing
09:01:30  ana's phone goes offline
09:02     ana enters bakery                       -> nothing
09:03     ana stays in bakery for 6 minutes       -> nothing
09:10     ana leaves bakery                       -> nothing
09:11:30  ana's phone is back online              -> enter bakery at 09:02 (within 20 s); dwell bakery at 09:07 (within 20 s); exit bakery at 09:09:30 (within 20 s); no other event
09:12     ana stays outside bakery for 2 minutes  -> nothing
