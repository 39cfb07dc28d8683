# Unknown means no; location alone allows no offer; a new yes counts again.
09:00  bob allows location
09:01  bob enters bakery              -> enter bakery; refused: no consent
09:04  bob leaves bakery              -> exit bakery
09:10  bob allows sms for offers
09:20  bob enters bakery              -> sms to bob: Fresh bread until ten
09:25  bob withdraws location         -> withdrawn: location
09:30  bob leaves bakery              -> nothing
09:40  bob enters bakery              -> nothing

# Carla never allowed her location: nothing at all is known of her visit.
10:00  carla allows sms for offers
10:01  carla enters bakery            -> nothing

# Help changes nothing; START brings back what was given before, never more.
11:00  dora allows location, and sms for offers
11:01  dora texts "AIDE"              -> nothing
11:02  dora texts "stop"              -> withdrawn: sms
11:03  dora enters bakery             -> refused: consent withdrawn at 11:02
11:06  dora leaves bakery             -> exit bakery
11:10  dora texts "START"             -> allowed: sms
11:20  dora enters bakery             -> sms to dora: Fresh bread until ten
