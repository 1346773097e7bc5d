"""OFDM symbols per second of the link's simulation against Sionna PHY, in one run, with one thread each.

    pip install -e '.[benchmarks]'
    OMP_NUM_THREADS=1 python benchmarks/link.py [--json]

Both send the same bits over the same channels: 4 antennas, 128 subcarriers, prefix 16, 12 taps, MRT, the true channel
as equaliser, hard decisions, counted errors. In the frequency domain Sionna's chain is Mapper, the precoded grid,
ApplyOFDMChannel, a division and SymbolDemapper; in the time domain OFDMModulator, ApplyTimeChannel and OFDMDemodulator
stand in between. As ours multiplies weights and channel once for all symbols of a user, a third row lets Sionna do the
same: ApplyOFDMChannel of one effective antenna. Bits are drawn outside of the measured time, noise inside. Rounds
alternate between the programs and the fastest round of each counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from sitetwin.link import modulation, precoder, response_of_taps, sionna_ofdm_channel
from sitetwin.link.equalisers import Equaliser
from sitetwin.link.simulation import Transmission

USERS, ANTENNAS, SIZE, PREFIX, TAPS, SNR = 50, 4, 128, 16, 12, 10**0.4


class Ours:
    """This package: labels in, wrong bits out."""

    def __init__(self, taps: np.ndarray, bits: np.ndarray, constellation: str) -> None:
        self.kind = modulation(constellation)
        h = response_of_taps(taps, SIZE)
        self.receiver = Equaliser("true", precoder("mrt", h))
        self.channels = {"frequency": (h, None), "time": (taps, PREFIX)}
        groups = bits.reshape(*bits.shape[:2], SIZE, self.kind.bits)
        self.labels = (groups @ (1 << np.arange(self.kind.bits)[::-1])).astype(np.uint8)
        self.rng = np.random.default_rng(2)

    def errors(self, domain: str) -> int:
        channel, prefix = self.channels[domain]
        link = Transmission.at(channel, self.receiver, self.kind, SNR, prefix)
        return int(link.errors(self.labels, self.rng).sum())


class Sionna:
    """Sionna PHY: bits in, wrong bits out."""

    def __init__(self, taps: np.ndarray, bits: np.ndarray, constellation: str) -> None:
        from sionna.phy.channel import ApplyOFDMChannel, ApplyTimeChannel
        from sionna.phy.mapping import Mapper, SymbolDemapper, SymbolInds2Bits
        from sionna.phy.ofdm import OFDMDemodulator, OFDMModulator

        count, symbols = modulation(constellation).bits, bits.shape[1]
        h = response_of_taps(taps, SIZE)
        weights = precoder("mrt", h).weights(SNR)
        self.bits = torch.from_numpy(bits.astype(np.float32))
        self.weights = torch.from_numpy(weights.astype(np.complex64))[:, None, :, None, :]
        self.gains = torch.from_numpy(np.einsum("utk,utk->uk", h, weights).astype(np.complex64))[:, None, :]
        self.h = torch.from_numpy(sionna_ofdm_channel(h, symbols))
        self.effective = self.gains[:, None, None, None, None].expand(-1, 1, 1, 1, 1, symbols, -1).contiguous()
        samples = symbols * (SIZE + PREFIX)
        taps = torch.from_numpy(taps.astype(np.complex64))[:, None, None, None, :, None, :]
        self.h_time = taps.expand(-1, 1, 1, 1, -1, samples + TAPS - 1, -1)
        self.mapper, self.demapper = Mapper("qam", count), SymbolDemapper("qam", count, hard_out=True)
        self.to_bits = SymbolInds2Bits(count)
        self.apply, self.apply_time = ApplyOFDMChannel(), ApplyTimeChannel(samples, TAPS)
        self.modulator, self.demodulator = OFDMModulator(PREFIX), OFDMDemodulator(SIZE, 0, PREFIX)
        self.samples = samples

    def errors(self, domain: str) -> int:
        with torch.no_grad():
            x = self.mapper(self.bits)
            if domain == "effective":
                y = self.apply(x[:, None, None], self.effective, 1 / SNR)[:, 0, 0]
            else:
                grid = x[:, None, None] * self.weights
                if domain == "frequency":
                    y = self.apply(grid, self.h, 1 / SNR)[:, 0, 0]
                else:
                    received = self.apply_time(self.modulator(grid), self.h_time, 1 / SNR)
                    y = self.demodulator(received[..., : self.samples])[:, 0, 0]
            found = self.to_bits(self.demapper(y / self.gains, 1.0))
            return int((found.reshape(self.bits.shape) != self.bits).sum())


def fastest(calls: dict[str, Callable[[], int]], rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds of the fastest round of each, and its errors, with rounds in turn."""
    best = {name: float("inf") for name in calls}
    errors: dict[str, list[int]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            wrong = call()
            if number:  # the first round compiles
                best[name] = min(best[name], time.perf_counter() - start)
                errors[name].append(wrong)
    return {name: (best[name], float(np.mean(errors[name]))) for name in calls}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modulation", default="qpsk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    choices = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    taps = rng.standard_normal((2, USERS, ANTENNAS, TAPS))
    taps = (taps[0] + 1j * taps[1]) / np.sqrt(2 * TAPS)
    found = {}
    for domain, symbols in (("frequency", 20), ("effective", 20), ("time", 20)):
        bits = rng.integers(0, 2, (USERS, symbols, SIZE * modulation(choices.modulation).bits))
        ours, theirs = Ours(taps, bits, choices.modulation), Sionna(taps, bits, choices.modulation)
        own = "frequency" if domain == "effective" else domain
        calls = {"sitetwin": lambda o=ours, d=own: o.errors(d), "sionna": lambda t=theirs, d=domain: t.errors(d)}
        timed = fastest(calls, choices.rounds)
        rates = {name: USERS * symbols / seconds for name, (seconds, _) in timed.items()}
        found[domain] = {
            "sitetwin_symbols_per_second": rates["sitetwin"],
            "sionna_symbols_per_second": rates["sionna"],
            "ratio": rates["sitetwin"] / rates["sionna"],
            "ber": {name: wrong / bits.size for name, (_, wrong) in timed.items()},
        }
    if choices.json:
        print(json.dumps(found, indent=2))
        return
    for domain, row in found.items():
        print(
            f"{domain:10s} sitetwin {row['sitetwin_symbols_per_second']:10,.0f} symbols/s   "
            f"Sionna PHY {row['sionna_symbols_per_second']:10,.0f}   ratio {row['ratio']:6.1f}   "
            f"BER {row['ber']['sitetwin']:.4f} / {row['ber']['sionna']:.4f}"
        )


if __name__ == "__main__":
    main()
