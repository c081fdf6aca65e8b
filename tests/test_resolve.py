"""What the dotted paths in the settings may name."""

from pkgutil import resolve_name

from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.deliveres import base


def test_both_spellings_name_the_very_same_classes():
    assert (base.HookDeliverer, base.HooksDeliverer) == (HookDeliverer, HooksDeliverer)
    assert resolve_name("doh.deliveres.base.HooksDeliverer.delay") == HooksDeliverer.delay
