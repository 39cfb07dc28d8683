# One shopper, one bakery, one offer, and a withdrawal that holds.
09:00  ana allows location, and sms for offers
09:01  ana enters bakery              -> enter bakery; sms to ana: Fresh bread until ten
09:05  ana texts "Arrêt svp"          -> withdrawn: sms
09:10  ana leaves bakery              -> exit bakery
11:00  ana enters bakery              -> enter bakery; refused: consent withdrawn at 09:05
