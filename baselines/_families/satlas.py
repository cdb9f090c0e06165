"""SatLas without torch: settings of its networks, its sensors and their scales."""

from __future__ import annotations

from dataclasses import dataclass

from skybench.core import DB, REFLECTANCE, UINT8, Sensor

RGB = ("red", "green", "blue")
SENSORS = {
    "aerial": Sensor("hr", RGB, 1.0, UINT8),
    "sentinel2_rgb": Sensor("s2", RGB, 10.0, REFLECTANCE),
    "sentinel2_ms": Sensor(
        "s2",
        (*RGB, "rededge071", "rededge075", "rededge078", "nir", "swir16", "swir22"),
        10.0,
        REFLECTANCE,
    ),
    "sentinel1": Sensor("s1", ("vh", "vv"), 10.0, DB),
    "landsat": Sensor(
        "landsat",
        (
            *("coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "pan", "cirrus"),
            *("lwir11", "lwir12"),
        ),
        30.0,
        REFLECTANCE,
    ),
}
TCI = 3558.0  # what the 8-bit colour product shows as 255, reflectance x 1e4
AMPLITUDE = 474.0  # Sentinel-1's 16-bit digital number at 0 dB
FPN_DIMS = 128


@dataclass(frozen=True)
class Arch:
    """Settings of a network."""

    sensor: str  # of SENSORS
    temporal: bool = False
    width: int = 128  # channels of the first stage; of a ResNet's before the factor of 4
    depths: tuple[int, int, int, int] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)  # (): a ResNet
    fpn: bool = False  # the pyramid is that of the authors' FPN, which is in their files only

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return len(SENSORS[self.sensor].bands)

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """(channels, stride) of the stages."""
        first = self.width if self.heads else 4 * self.width
        return tuple((first << i, 4 << i) for i in range(len(self.depths)))
