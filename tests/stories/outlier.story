# One fix that is wrong and sure of itself neither ends a visit nor makes one.
09:00     ana allows location
09:01     ana enters bakery                                       -> enter bakery; no other event
09:02     ana stays in bakery for 2 minutes                       -> nothing
09:04:15  ana's phone is 150 m off for one fix, accuracy 5        -> nothing
09:04:30  ana stays in bakery for 4 minutes                       -> dwell bakery at 09:06 (within 15 s); no other event
09:09     ana leaves bakery                                       -> exit bakery; no other event

10:00     ana stays outside bakery for 3 minutes                  -> nothing
10:03:15  ana's phone jumps to bakery for one fix, accuracy 5     -> nothing
10:03:30  ana stays outside bakery for 3 minutes                  -> nothing
