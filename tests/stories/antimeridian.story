# A place on the line where longitudes jump from 180 to -180: whoever walks about in it stays in it.
place wharf circle -17.0 180 40

09:00  ana allows location
09:01  ana stays outside wharf for 1 minute  -> nothing
09:03  ana stays in wharf for 8 minutes      -> enter wharf; dwell wharf at 09:08 (within 45 s); no other event
09:12  ana leaves wharf                      -> exit wharf; no other event
10:00  ana drives through wharf at 90 km/h, a fix every 60 s -> cross wharf at 10:00 (within 5 s); no other event
