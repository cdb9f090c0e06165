"""The vocabulary of skybench: sensors, samples, batches, cards, recipes, records and interfaces.

Importing it does not import torch: cards and recipes must be readable by `skybench list` in well
under a second. Classes built on `nn.Module` are in `skybench.core.model`.
"""

from skybench.core.cards import DatasetCard as DatasetCard
from skybench.core.cards import Group as Group
from skybench.core.cards import ModelCard as ModelCard
from skybench.core.cards import Option as Option
from skybench.core.cards import Row as Row
from skybench.core.cards import WeightsSource as WeightsSource
from skybench.core.column import Column as Column
from skybench.core.dataset import Samples as Samples
from skybench.core.dataset import Split as Split
from skybench.core.errors import CannotRun as CannotRun
from skybench.core.errors import DataError as DataError
from skybench.core.errors import Diverged as Diverged
from skybench.core.errors import InvalidArray as InvalidArray
from skybench.core.errors import SkybenchError as SkybenchError
from skybench.core.errors import UsageError as UsageError
from skybench.core.errors import WeightsError as WeightsError
from skybench.core.interfaces import DatasetPlugin as DatasetPlugin
from skybench.core.interfaces import FitContext as FitContext
from skybench.core.interfaces import Head as Head
from skybench.core.interfaces import Metric as Metric
from skybench.core.interfaces import ModelPlugin as ModelPlugin
from skybench.core.interfaces import Report as Report
from skybench.core.interfaces import Source as Source
from skybench.core.interfaces import Task as Task
from skybench.core.interfaces import Workers as Workers
from skybench.core.matching import match as match
from skybench.core.protocol import Protocol as Protocol
from skybench.core.recipe import ProtocolName as ProtocolName
from skybench.core.recipe import Recipe as Recipe
from skybench.core.recipe import affects as affects
from skybench.core.record import FAULTS as FAULTS
from skybench.core.record import FLAGS as FLAGS
from skybench.core.record import SCHEMA as SCHEMA
from skybench.core.record import Record as Record
from skybench.core.record import Status as Status
from skybench.core.sample import IGNORE as IGNORE
from skybench.core.sample import Batch as Batch
from skybench.core.sample import Boxes as Boxes
from skybench.core.sample import Features as Features
from skybench.core.sample import Sample as Sample
from skybench.core.sample import Time as Time
from skybench.core.score import ScoreInfo as ScoreInfo
from skybench.core.score import score_info as score_info
from skybench.core.sensors import CONVERT as CONVERT
from skybench.core.sensors import DB as DB
from skybench.core.sensors import REFLECTANCE as REFLECTANCE
from skybench.core.sensors import S2_DISPLAY as S2_DISPLAY
from skybench.core.sensors import UINT8 as UINT8
from skybench.core.sensors import BandMapping as BandMapping
from skybench.core.sensors import Conversion as Conversion
from skybench.core.sensors import Sensor as Sensor
from skybench.core.setup import DemoSetup as DemoSetup
from skybench.core.setup import Setup as Setup
from skybench.core.sourced_recipe import FieldSource as FieldSource
from skybench.core.sourced_recipe import SourcedRecipe as SourcedRecipe
from skybench.core.target import Target as Target
from skybench.core.target import infer_target as infer_target

# Former names, for plugins of other packages.
Found = BandMapping
Setting = FitContext
