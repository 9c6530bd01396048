"""MBG/NBD: Batislam, Denizel & Filiztekin (2007), IJRM 24(3); Hoppe & Wagner (2007), Marketing ZFP 29 (as CBG/NBD).

As BG/NBD, but the coin is tossed after *every* transaction, the first one too: a customer may leave at once, so that a
one-time buyer can be lost. Hence x + 1 tosses are survived by who is alive at T:

- likelihood: `GeometricDropout` with s = x + 1;
- P(alive): 1 / (1 + a/(b+x) ((alpha+T)/(alpha+t_x))^(r+x));
- E[X(t)] = b/(a-1) [1 - (alpha/(alpha+t))^r 2F1(r, b+1; a+b; t/(alpha+t))] and E[Y(t) | x, t_x, T] (Hoppe & Wagner).
"""

from cvm_pipeline.domain.lifetime_value.geometric_dropout import GeometricDropout

MODEL = GeometricDropout(name="mbg_nbd", first_toss=1, knows_p_alive=True)
