"""The device of a run: torch's own reason where a GPU cannot be used. CUDA is a stub here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import UsageError
from skybench.runner import device

OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver."
)
NONE = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU."
AUTO = "skybench: --device auto takes the CPU: "
WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]  # of torch 2.15+cu132


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a driver, which is not there yet."""
    monkeypatch.setattr(device, "DRIVER", tmp_path / "nvidia")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "nvidia"


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """torch cannot start CUDA."""

    def init() -> None:
        raise error

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)


def gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], built: list[str]) -> None:
    """A GPU of a compute capability, and a torch built for some architectures."""
    answers: dict[str, Any] = {
        "is_available": True, "get_device_capability": capability, "get_arch_list": built,
        "get_device_name": "Tesla", "device_count": 1, "mem_get_info": (4e9, 16e9),
        "is_bf16_supported": False,
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer, **_: answer)


def test_a_driver_that_is_too_old_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, RuntimeError(OLD))
    assert device.pick_device("auto") == "cpu"
    assert capsys.readouterr().err == f"{AUTO}{OLD}\n"
    with pytest.raises(UsageError, match=r"CUDA cannot be used: The NVIDIA driver .* too old"):
        device.pick_device("cuda")
    assert device.device_facts()["device"] == f"cpu ({OLD[:-1]})"


@pytest.mark.parametrize(
    ("error", "there", "hidden", "told"),
    [
        (RuntimeError(NONE), False, None, False),
        (RuntimeError(NONE), True, None, True),  # a container that was started without its GPUs
        (AssertionError("Torch not compiled with CUDA enabled"), False, None, False),
        (AssertionError("Torch not compiled with CUDA enabled"), True, None, True),
        (RuntimeError("No CUDA GPUs are available"), True, None, True),
        (RuntimeError("No CUDA GPUs are available"), True, "", False),
        (RuntimeError("No CUDA GPUs are available"), True, "-1", False),
    ],
)
def test_auto_speaks_up_only_where_a_gpu_would_be_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], driver: Path,
    error: Exception, there: bool, hidden: str | None, told: bool,
) -> None:  # fmt: skip
    refuse(monkeypatch, error)
    if there:
        driver.mkdir()
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert device.pick_device("auto") == "cpu"
    assert capsys.readouterr().err.startswith(AUTO) == told
    with pytest.raises(UsageError, match="CUDA cannot be used"):
        device.pick_device("cuda")
    assert device.pick_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("capability", "built", "runs"),
    [
        ((9, 0), WHEEL, True),  # an H200
        ((8, 9), WHEEL, True),  # sm_86 runs on any 8.x from 8.6 on
        ((7, 0), WHEEL, False),  # a V100
        ((8, 0), ["sm_86"], False),
        ((12, 1), ["sm_90", "compute_90"], True),  # by its PTX
        ((8, 0), ["compute_90"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100a"], False),
        ((10, 3), ["sm_100f"], True),
        ((9, 4), ["gfx942"], True),  # of AMD: torch knows
    ],
)
def test_kernels_must_fit_the_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    capability: tuple[int, int], built: list[str], runs: bool,
) -> None:  # fmt: skip
    gpu(monkeypatch, capability, built)
    assert device.pick_device("auto") == ("cuda" if runs else "cpu")
    said = capsys.readouterr().err
    if runs:
        assert said == ""
        assert device.pick_device("cuda") == "cuda"
        return
    number = f"{capability[0]}.{capability[1]}"
    assert said.startswith(f"{AUTO}Tesla has compute capability {number}, for which torch ")
    with pytest.raises(UsageError, match=f"capability {number}.* has no kernels"):
        device.pick_device("cuda")


def test_doctor_describes_the_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpu(monkeypatch, (7, 5), WHEEL)
    monkeypatch.setattr(device, "SHARED_MEMORY", tmp_path)
    facts = device.device_facts()
    assert facts["device"] == "Tesla"
    assert facts["compute capability"].startswith("7.5; kernels: sm_75 sm_80")
    assert facts["GPU memory"] == "4.0 GB free of 16.0 GB"
    assert facts["bf16"] == "emulated"
    assert facts["TF32 by default"] == "convolutions on, matrix products off"
    assert facts["shared memory"].endswith(f"at {tmp_path}")
    monkeypatch.setattr(device, "SHARED_MEMORY", tmp_path / "absent")  # as on macOS
    assert "shared memory" not in device.device_facts()


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match=r"No device 'gpu'\. Known: auto, cpu, cuda"):
        device.pick_device("gpu")
