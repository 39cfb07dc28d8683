# The clock says a dwell; fixes that come late show that she had left before it was due, and it is taken back.
09:00     ana allows location
09:01     ana enters bakery                   -> enter bakery; no other event
09:02:30  ana stays in bakery for 3 minutes   -> nothing
09:05:31  ana's phone goes offline
09:05:35  ana leaves bakery                   -> dwell bakery; no other event
09:06:30  ana's phone is back online          -> dwell bakery retracted; exit bakery at 09:05:32 (within 10 s); no other event
