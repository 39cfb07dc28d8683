# Which visit it is, and how long after the last one; both ask whether offers may be chosen by visits.
place bakery circle 48.8353 2.2410 40
place cafe circle 48.8400 2.2410 40
campaign Third on enter at bakery by sms, visit 3 this month says "The third time: a croissant on us"
campaign Back on enter at cafe by sms, after 30 days away says "Good to see you again"

09:00  ana allows location, and sms for offers
09:01  ana enters bakery                  -> enter bakery; refused: no profiling consent
09:10  ana leaves bakery                  -> exit bakery
09:11  ana allows profiling
10:00  ana enters cafe                    -> enter cafe; refused: not this visit
10:10  ana leaves cafe                    -> exit cafe
11:00  ana enters bakery                  -> enter bakery; refused: not this visit
11:02  ana leaves bakery                  -> exit bakery
11:05  ana enters bakery                  -> enter bakery; refused: not this visit
11:07  ana leaves bakery                  -> exit bakery

next day
09:00  ana enters bakery                  -> sms to ana: The third time: a croissant on us
09:10  ana leaves bakery                  -> exit bakery
10:00  ana enters bakery                  -> refused: not this visit

34 days later
10:00  ana enters cafe                    -> sms to ana: Good to see you again
10:10  ana leaves cafe                    -> exit cafe
11:00  ana enters cafe                    -> refused: not this visit
11:01  ana withdraws profiling            -> withdrawn: profiling
12:00  ana enters bakery                  -> refused: profiling consent withdrawn at 11:01
