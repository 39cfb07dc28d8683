# An offer that waits is decided by the facts of the time at which it goes.
place bakery circle 48.8353 2.2410 40
place cafe circle 48.8400 2.2410 40
campaign Later on enter at bakery by sms, 10 minutes later, unless exit says "Still here? Coffee is on us"
campaign Linger on dwell at cafe by sms, for 20 minutes says "Another cup?"

09:00  ana allows location, and sms for offers
09:01  ana enters bakery                  -> enter bakery; no other event
09:02  ana stays in bakery for 7 minutes  -> dwell bakery
09:09  ana stays in bakery for 4 minutes  -> sms to ana: Still here? Coffee is on us
09:15  ana leaves bakery                  -> exit bakery

10:00  bob allows location, and sms for offers
10:01  bob enters bakery                  -> enter bakery
10:05  bob leaves bakery                  -> exit bakery
10:06  bob's phone is silent until 10:13  -> refused: called off

11:00  cleo allows location, and sms for offers
11:01  cleo enters bakery                 -> enter bakery
11:05  cleo withdraws sms                 -> withdrawn: sms
11:06  cleo stays in bakery for 6 minutes -> refused: consent withdrawn at 11:05

14:00  ana enters cafe                    -> enter cafe; no other event
14:01  ana stays in cafe for 17 minutes   -> dwell cafe
14:18  ana stays in cafe for 4 minutes    -> sms to ana: Another cup?
