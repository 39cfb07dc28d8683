# Ten minutes without a fix between two places, and on the way through neither.
place bakery circle 48.8353 2.2410 40
place cafe circle 48.8353 2.3410 40

09:00  ana allows location
09:01  ana stays outside bakery for 2 minutes  -> nothing
09:04  ana's phone is silent until 09:14       -> nothing
09:14  ana stays outside cafe for 2 minutes    -> nothing

# Into the tunnel from inside one place, out of it beside the other: one exit, and no dwell by the clock.
10:00  ana enters bakery                       -> enter bakery; no other event
10:01  ana's phone is silent until 10:11       -> nothing
10:11  ana stays outside cafe for 2 minutes    -> exit bakery; no other event
