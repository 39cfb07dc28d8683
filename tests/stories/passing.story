# A car at 90 km/h with a fix a minute: it passed through, and nobody went in.
09:00  ana allows location
09:05  ana drives through bakery at 90 km/h, a fix every 60 s  -> cross bakery at 09:05 (within 5 s); no other event
09:20  ana drives through bakery at 50 km/h, a fix every 40 s  -> cross bakery at 09:20 (within 5 s); no other event
