"""
Keep the twin in step with one camera
=====================================

A camera beside the antenna sees the vehicles of a street, GPS says where the user is. From both the twin knows the
scene of each moment, and traces it: which beams reach a user who is hidden behind a bus? Street, traffic and frames are
made up, and what the renderer knows stands for a network that finds vehicles.
"""

# %%
# A street and a drive
# --------------------
# The world has houses of several materials, poles and trees; the twin has a map that is 0.3 m off. The drive is one in
# which a vehicle hides the user.
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from sitetwin.vision import Ground, load_detector
from sitetwin.vision.scene import StreetTwin, sight_powers
from sitetwin.vision.scene.placing import place_boxes
from sitetwin.vision.worlds import LinkBudget, Schedule, default_worlds, gps_fixes, make_drive, make_world, true_powers
from sitetwin.vision.worlds.following import ALONG_THE_STREET

world = make_world(default_worlds(1, seed=1)[0])
world = replace(world, camera=world.camera.resized(480, 270))
drives = (make_drive(world, number, Schedule()) for number in range(100))
drive = next(one for one in drives if (one.judged & one.blocked).any())
hidden = int(np.flatnonzero(drive.judged & drive.blocked)[0])
frames = range(hidden - 4, hidden + 1)  # the last second before, and the moment itself
places = np.array([drive.traffic.antenna_at(time) for time in drive.times])
fixes = gps_fixes(drive.times, places[:, :2], 0.5, np.random.default_rng(0))

# %%
# Frame by frame
# --------------
# Boxes in the image become objects on the ground, these become tracks, and the user's own car is told from the others.
# A user who is hidden is in no image: its track carries it.
detector, ground = load_detector("perfect"), Ground(world.known.corners[world.known.is_ground])
twin = StreetTwin(world.known, world.station)
with world.renderer() as renderer:
    for k in frames:
        time = float(drive.times[k])
        frame = renderer.picture(drive.traffic.at(time), time=time).frame
        boxes = detector.detect(frame)
        objects = [one for one in place_boxes(world.camera, boxes, ground, ALONG_THE_STREET) if one is not None]
        moment = twin.step(time, fixes[k], objects)
        print(f"{time:6.2f} s: {len(boxes)} boxes, blocked with {moment.blocked:.0%}, {moment.blocked_ahead:.0%} ahead")

# %%
# Beams
# -----
# The scene is traced for six draws of the places of objects and user. What is measured is made by a finer tracing of
# the true bodies, with noise.
traced, ranking = twin.trace(moment)
rng = np.random.default_rng(0)
measured = true_powers(world.canyon.site, drive.traffic.at(time), world.station, places[hidden], LinkBudget(), rng)
towards = sight_powers(world.station, np.array([[*fixes[hidden], 1.65]]))[0]
for name, beam in (("traced twin", ranking.order[0]), ("line of sight", towards.argmax())):
    print(f"{name}: beam {beam}, {10 * np.log10(measured.max() / measured[beam]):.1f} dB under the best one")
print(f"{ranking.sweep} beams to sweep")

# %%
# The frame, the scene from above, and the beams
# ----------------------------------------------
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
left.imshow(frame.image)
for box in boxes:
    x, y, *_ = box.box
    left.add_patch(plt.Rectangle((x, y), *box.size, fill=False, color="tab:orange"))
left.set_axis_off()
left.set_title("boxes")

for thing in moment.objects:
    length, width, _ = thing.size
    corner = thing.position - 0.5 * np.array([length, width])
    middle.add_patch(
        plt.Rectangle(corner, length, width, angle=np.degrees(thing.heading), rotation_point="center", fill=False)
    )
middle.plot(*world.station.pose.position[:2], "k^", label="station")
middle.plot(*moment.user.position, "o", label="tracked user")
middle.plot(*places[hidden, :2], "x", label="true user")
middle.set(aspect="equal", xlim=(-40, 40), ylim=(-12, 36), xlabel="east, m", ylabel="north, m", title="objects")
middle.legend(loc="upper left", fontsize="small")

azimuth = np.degrees(np.linspace(world.station.half_span, -world.station.half_span, world.station.beams))
for name, power in (("measured", measured), ("traced", traced.mean), ("line of sight", towards)):
    right.plot(azimuth, 10 * np.log10(np.maximum(power / power.max(), 1e-4)), label=name)
right.set(xlabel="azimuth of the beam, degrees", ylabel="power, dB under the best", title="beams", xlim=(45, -45))
right.legend(fontsize="small")
plt.show()
