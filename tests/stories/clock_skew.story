# A clock that is off is noticed, and times are told by ours.
09:00  ana allows location
09:00  ana's phone clock is 60 s fast
09:01  ana enters bakery                     -> enter bakery at 09:01 (within 15 s); no other event
09:02  ana stays in bakery for 5 minutes     -> dwell bakery at 09:06 (within 15 s); no other event
09:08  ana leaves bakery                     -> exit bakery at 09:07:30 (within 15 s); no other event

10:00  bob allows location
10:00  bob's phone clock is 60 s slow
10:00  bob stays outside bakery for 3 minutes -> nothing
# A slow clock looks like slow news, so it takes five signals to be judged: his entry is dated by his own clock.
10:04  bob enters bakery                      -> enter bakery at 10:03 (within 15 s); no other event
10:05  bob stays in bakery for 5 minutes      -> dwell bakery at 10:09 (within 15 s); no other event
10:11  bob leaves bakery                      -> exit bakery at 10:10:30 (within 15 s); no other event
