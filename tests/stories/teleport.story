# A phone that is in another city for one fix and back in the next has not been there.
place bakery circle 48.8353 2.2410 40
place london circle 51.5074 -0.1278 500

09:00     ana allows location
09:01     ana enters bakery                                   -> enter bakery; no other event
09:02     ana stays in bakery for 2 minutes                   -> nothing
09:04:15  ana's phone jumps to london for one fix             -> nothing
09:04:30  ana stays in bakery for 3 minutes                   -> dwell bakery at 09:06 (within 15 s); no other event
09:08     ana leaves bakery                                   -> exit bakery; no other event
09:09:30  ana's phone jumps to london for one fix, accuracy 5 -> nothing
09:09:45  ana stays outside bakery for 2 minutes              -> nothing
