# Caps, windows, pausing and dwell, in the place's own time.
place bakery circle 48.8353 2.2410 40
place cafe circle 48.8400 2.2410 40
campaign Bread on enter at bakery by sms says "Fresh bread until ten"
campaign Coffee on dwell at cafe by sms between 14:00 and 18:00 says "One more coffee?"

09:00  ana allows location, and sms for offers
09:01  ana enters bakery                  -> sms to ana: Fresh bread until ten
09:04  ana leaves bakery                  -> exit bakery
09:20  ana enters bakery                  -> enter bakery; refused: cap reached
09:24  ana leaves bakery                  -> exit bakery
10:00  ana stays in cafe for 8 minutes    -> enter cafe; dwell cafe; refused: outside window
10:15  ana leaves cafe                    -> exit cafe
14:00  ana stays in cafe for 4 minutes    -> enter cafe
14:10  ana leaves cafe                    -> exit cafe
15:00  ana stays in cafe for 8 minutes    -> dwell cafe; sms to ana: One more coffee?

next day
10:00  campaign Bread is paused
10:01  ana enters bakery                  -> enter bakery
10:04  ana leaves bakery                  -> exit bakery
10:10  campaign Bread is resumed
10:20  ana enters bakery                  -> sms to ana: Fresh bread until ten
10:30  ana is forgotten                   -> forgotten: ana
