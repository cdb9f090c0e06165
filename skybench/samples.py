"""Former place of `skybench.core.dataset`, for plugins of other packages."""

from skybench.core.dataset import Joined as Joined
from skybench.core.dataset import Samples as Samples
from skybench.core.dataset import Split as Split
from skybench.core.fingerprint import fingerprint_keys as fingerprint_keys
