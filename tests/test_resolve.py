"""What the dotted paths in the settings may name."""

from pkgutil import resolve_name

import pytest

from doh.deliverers import resolve
from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.deliveres import base
from doh.exceptions import HookConfigurationError


def test_both_spellings_name_the_very_same_classes():
    assert (base.HookDeliverer, base.HooksDeliverer) == (HookDeliverer, HooksDeliverer)
    assert resolve_name("doh.deliveres.base.HooksDeliverer.delay") == HooksDeliverer.delay


@pytest.mark.parametrize(
    ("resolved", "path", "wanted"),
    [
        (resolve.collection_at, "doh.deliverers.deliver_hook_using_task", "HooksDeliverer"),
        (resolve.collection_at, "tests.project.Element", "HooksDeliverer"),
        (resolve.element_at, "doh.deliverers.deliver_hooks", "HookDeliverer"),
        (resolve.element_at, "tests.project.Collection.delay", "HookDeliverer"),
        (resolve.element_at, "tests.app.models.Vehicle", "HookDeliverer"),
    ],
)
def test_a_class_that_is_no_deliverer_of_the_kind_is_refused(resolved, path, wanted):
    with pytest.raises(HookConfigurationError, match=f"{path}'.* is no {wanted}"):
        resolved(path)
