"""Former place of `skybench.core.model`, for plugins of other packages."""

from skybench.core.model import Model as Model
from skybench.core.model import encode as encode
