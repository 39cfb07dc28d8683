# A phone falls silent shortly before its dwell is due: the clock says it, and the way out is dated between two fixes.
09:00     ana allows location
09:01     ana enters bakery                        -> enter bakery at 09:01 (within 15 s); no other event
09:02:30  ana stays in bakery for 3 minutes        -> nothing
09:05:31  ana's phone is silent until 09:07        -> dwell bakery at 09:06 (within 15 s); no other event
09:07     ana's phone is silent until 09:12        -> nothing
09:12     ana leaves bakery                        -> exit bakery; no other event

# One that falls silent long before it is due is not taken for a visitor who stayed.
10:01     ana enters bakery                        -> enter bakery; no other event
10:02     ana's phone is silent until 10:20        -> nothing
10:20     ana leaves bakery                        -> exit bakery; no other event
