"""``doh.deliverers`` under the spelling that settings of existing projects use.

The alias is the module itself, and so are the modules below it: both spellings name the very same
objects.
"""

import sys

from doh import deliverers

for _name in [name for name in sys.modules if name.startswith(f"{deliverers.__name__}.")]:
    # Left to the import system, these would be loaded again, with classes of their own.
    sys.modules[__name__ + _name.removeprefix(deliverers.__name__)] = sys.modules[_name]
sys.modules[__name__] = deliverers
