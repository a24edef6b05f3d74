"""One test for each check of dropcheck. ``select`` keeps it short; leave it out to test everything."""

from channel_drop import ChannelDrop

import dropcheck


@dropcheck.parametrize_with_checks([ChannelDrop], select="rate.one,rate.rejects-invalid,gradient.edges,scale.mean")
def test_channel_drop(target, check):
    check(target)
