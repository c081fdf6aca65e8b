"""``doh.deliverers`` under the spelling that settings of existing projects use.

The alias is the module itself, so that both spellings name the very same objects.
"""

import sys

from doh import deliverers

sys.modules[__name__] = deliverers
