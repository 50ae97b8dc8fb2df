#!/usr/bin/env python3
"""A ray tracer: spheres over a chequered floor, with shadows and reflections. All of it is Python."""

import argparse
import math
import time
import zlib


class Vector:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def __iter__(self):
        yield self.x
        yield self.y
        yield self.z

    def dot(self, other):
        return self.x * other.x + self.y * other.y + self.z * other.z

    def unit(self):
        return self * (1.0 / math.sqrt(self.dot(self)))

    def mirrored(self, normal):
        return self - normal * (2.0 * self.dot(normal))


class Ray:
    __slots__ = ("origin", "direction")

    def __init__(self, origin, direction):
        self.origin = origin
        self.direction = direction

    def at(self, distance):
        return self.origin + self.direction * distance


class Solid:
    """Something that a ray can hit."""

    def __init__(self, colour, shine):
        self.colour = colour
        self.shine = shine

    def colour_at(self, point):
        return self.colour


class Sphere(Solid):
    def __init__(self, centre, radius, colour, shine):
        super().__init__(colour, shine)
        self.centre = centre
        self.radius = radius

    def distance(self, ray):
        """How far along the ray its surface is, or None."""
        to_centre = self.centre - ray.origin
        along = to_centre.dot(ray.direction)
        inside = self.radius ** 2 - to_centre.dot(to_centre) + along ** 2
        if inside < 0.0:
            return None
        half = math.sqrt(inside)
        return next((d for d in (along - half, along + half) if d > 1e-6), None)

    def normal_at(self, point):
        return (point - self.centre).unit()


class Floor(Solid):
    def __init__(self, height, colour, other_colour, shine):
        super().__init__(colour, shine)
        self.height = height
        self.other_colour = other_colour

    def distance(self, ray):
        if abs(ray.direction.y) < 1e-9:
            return None
        distance = (self.height - ray.origin.y) / ray.direction.y
        return distance if distance > 1e-6 else None

    def normal_at(self, point):
        return Vector(0.0, 1.0, 0.0)

    def colour_at(self, point):
        odd = (math.floor(point.x) + math.floor(point.z)) % 2
        return self.other_colour if odd else self.colour


class Scene:
    SKY = Vector(0.4, 0.6, 0.9)
    AMBIENT = 0.15

    def __init__(self, solids, light):
        self.solids = solids
        self.light = light

    def nearest(self, ray):
        """The closest solid that the ray hits and its distance, or None."""
        hits = [(solid.distance(ray), solid) for solid in self.solids]
        return min((hit for hit in hits if hit[0] is not None), key=lambda hit: hit[0], default=None)

    def lit(self, point, normal):
        """How much of the light reaches a point of a surface."""
        towards = self.light - point
        reach = math.sqrt(towards.dot(towards))
        ray = Ray(point + normal * 1e-4, towards * (1.0 / reach))
        shadows = (solid.distance(ray) for solid in self.solids)
        if any(distance is not None and distance < reach for distance in shadows):
            return 0.0
        return max(0.0, ray.direction.dot(normal))

    def trace(self, ray, bounces=3):
        """The colour that comes back along a ray."""
        hit = self.nearest(ray)
        if hit is None:
            return self.SKY * (0.5 + 0.5 * max(0.0, ray.direction.y))
        distance, solid = hit
        point = ray.at(distance)
        normal = solid.normal_at(point)
        colour = solid.colour_at(point) * (self.AMBIENT + self.lit(point, normal))
        if bounces == 0 or solid.shine == 0.0:
            return colour
        mirrored = Ray(point + normal * 1e-4, ray.direction.mirrored(normal))
        return colour * (1.0 - solid.shine) + self.trace(mirrored, bounces - 1) * solid.shine


class Camera:
    def __init__(self, position, width, height):
        self.position = position
        self.width = width
        self.height = height

    def rays(self):
        """One ray per pixel, row by row from the top."""
        for row in range(self.height):
            for column in range(self.width):
                x = (column + 0.5) / self.width - 0.5
                y = (0.5 - (row + 0.5) / self.height) * self.height / self.width
                yield Ray(self.position, Vector(x, y, 0.8).unit())


def build_scene(angle):
    """Three spheres that circle a larger one."""
    turns = [angle + i * math.tau / 3 for i in range(3)]
    colours = [Vector(0.9, 0.2, 0.2), Vector(0.2, 0.8, 0.3), Vector(0.9, 0.8, 0.2)]
    around = [
        Sphere(Vector(1.6 * math.cos(turn), -0.4, 5.0 + 1.6 * math.sin(turn)), 0.6, colour, 0.25)
        for turn, colour in zip(turns, colours)
    ]
    middle = Sphere(Vector(0.0, 0.2, 5.0), 1.0, Vector(0.7, 0.7, 0.8), 0.5)
    floor = Floor(-1.0, Vector(0.9, 0.9, 0.9), Vector(0.2, 0.2, 0.2), 0.1)
    return Scene([middle, floor] + around, light=Vector(-4.0, 6.0, 0.0))


def render(scene, camera):
    """The picture as bytes: red, green and blue of each pixel."""
    pixels = (scene.trace(ray) for ray in camera.rays())
    return bytes(min(255, int(channel * 255)) for pixel in pixels for channel in pixel)


def write_ppm(path, camera, picture):
    with open(path, "wb") as file:
        file.write(b"P6 %d %d 255\n" % (camera.width, camera.height))
        file.write(picture)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU time to use (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="render exactly so many pictures instead")
    parser.add_argument("--size", type=int, default=48, help="width of a picture in pixels (default: %(default)s)")
    parser.add_argument("--output", help="write the last picture to this file, as PPM")
    arguments = parser.parse_args()

    camera = Camera(Vector(0.0, 0.3, 0.0), arguments.size, arguments.size * 3 // 4)
    rendered = checksum = 0
    while True:
        if arguments.rounds is None:
            done = rendered > 0 and time.process_time() >= arguments.seconds
        else:
            done = rendered >= max(1, arguments.rounds)
        if done:
            break
        picture = render(build_scene(rendered * 0.1), camera)
        if rendered == 0:
            checksum = zlib.crc32(picture)
        rendered += 1
    if arguments.output:
        write_ppm(arguments.output, camera, picture)
    print(f"{rendered} pictures of {camera.width}x{camera.height} pixels; checksum of the first: {checksum:08x}")


if __name__ == "__main__":
    main()
