# A fix that comes late is put where it belongs: one from inside, heard after the exit, is no second visit.
09:00     ana allows location
09:01     ana enters bakery                         -> enter bakery; no other event
09:02     ana stays in bakery for 1 minute          -> nothing
09:03:15  ana's phone sends its next fix 60 s late
09:03:30  ana stays in bakery for 1 minute          -> nothing
09:05     ana leaves bakery                         -> exit bakery at 09:04:45 (within 20 s); no other event
09:06:30  ana stays outside bakery for 3 minutes    -> nothing
