"""BG/NBD: Fader, Hardie & Lee (2005), "'Counting Your Customers' the Easy Way", Marketing Science 24(2).

While alive a customer buys at a Poisson rate lambda ~ gamma(r, alpha); after each *repeat* transaction the customer
drops out with probability p ~ beta(a, b) (section 3). Hence x tosses are survived by who is alive at T:

- likelihood, eq. 6, in the form of the paper's appendix: `GeometricDropout` with s = x;
- P(alive), from the same two terms: 1 / (1 + 1{x>0} a/(b+x-1) ((alpha+T)/(alpha+t_x))^(r+x));
- E[X(t)], eq. 9, and E[Y(t) | x, t_x, T], eq. 10.

Nobody without a repeat purchase can have dropped out: its P(alive) is 1 for them, and is never published.
"""

from cvm_pipeline.domain.lifetime_value.geometric_dropout import GeometricDropout

MODEL = GeometricDropout(name="bg_nbd", first_toss=0, knows_p_alive=False)
