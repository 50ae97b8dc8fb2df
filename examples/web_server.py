#!/usr/bin/env python3
"""An asyncio HTTP server with a small JSON API, under load from its own clients in the same process."""

import argparse
import asyncio
import json
import random
import time

PRICES = {"bolt": 12, "nut": 8, "washer": 3, "spring": 45, "gear": 310, "bearing": 240}
REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found"}


class HttpError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Router:
    """Finds the handler of a request."""

    def __init__(self):
        self.routes = {}

    def route(self, method, prefix):
        def register(handler):
            self.routes[method, prefix] = handler
            return handler

        return register

    async def dispatch(self, shop, method, path, body):
        prefix, _, rest = path.lstrip("/").partition("/")
        handler = self.routes.get((method, prefix))
        if handler is None:
            raise HttpError(404, f"no {method} /{prefix}")
        return await handler(shop, rest, body)


router = Router()


class Shop:
    """The orders, and the queue of those that are to be invoiced."""

    def __init__(self):
        self.orders = {}
        self.to_invoice = asyncio.Queue()
        self.revenue = 0

    def price(self, items):
        try:
            return sum(PRICES[item["sku"]] * item["quantity"] for item in items)
        except (KeyError, TypeError) as error:
            raise HttpError(400, f"not an item: {error}") from None

    async def invoice(self):
        """Invoices orders one by one, for as long as the server runs."""
        while True:
            order = await self.to_invoice.get()
            lines = [f"{item['quantity']:>4} {item['sku']:<10} {PRICES[item['sku']]:>6}" for item in order["items"]]
            order["invoice"] = "\n".join(lines + [f"{'total':>15} {order['total']:>6}"])
            self.revenue += order["total"]
            self.to_invoice.task_done()


@router.route("POST", "orders")
async def create_order(shop, rest, body):
    items = body.get("items") if isinstance(body, dict) else None
    if not items:
        raise HttpError(400, "an order needs items")
    order = {"id": len(shop.orders) + 1, "items": items, "total": shop.price(items)}
    shop.orders[order["id"]] = order
    await shop.to_invoice.put(order)
    return 201, {"id": order["id"], "total": order["total"]}


@router.route("GET", "orders")
async def read_order(shop, rest, body):
    order = shop.orders.get(int(rest)) if rest.isdigit() else None
    if order is None:
        raise HttpError(404, f"no order {rest!r}")
    return 200, order


@router.route("GET", "report")
async def report(shop, rest, body):
    await shop.to_invoice.join()
    latest = list(shop.orders.values())[-200:]
    sold = {sku: 0 for sku in PRICES}
    for order in latest:
        for item in order["items"]:
            sold[item["sku"]] += item["quantity"]
    best = sorted(sold, key=lambda sku: sold[sku] * PRICES[sku], reverse=True)
    return 200, {"orders": len(shop.orders), "revenue": shop.revenue, "best": best[:3]}


async def read_head(reader):
    """The first line of a request or reply, and its headers; None at the end of the connection."""
    line = await reader.readline()
    if not line:
        return None
    headers = {}
    while True:
        header = (await reader.readline()).decode("latin-1").strip()
        if not header:
            return line.decode("latin-1").split(), headers
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()


async def read_body(reader, headers):
    length = int(headers.get("content-length", 0))
    return json.loads(await reader.readexactly(length)) if length else None


async def send(writer, first_line, body):
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{first_line}\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
    writer.write(head.encode("latin-1") + payload)
    await writer.drain()


class Server:
    def __init__(self, shop):
        self.shop = shop
        self.connections = set()

    async def handle_connection(self, reader, writer):
        """Answers the requests of one connection until the client closes it."""
        task = asyncio.current_task()
        self.connections.add(task)
        try:
            while True:
                head = await read_head(reader)
                if head is None:
                    break
                await self.handle_request(reader, writer, *head)
        finally:
            writer.close()
            self.connections.discard(task)

    async def handle_request(self, reader, writer, first_line, headers):
        method, path, _ = first_line
        body = await read_body(reader, headers)
        try:
            status, reply = await router.dispatch(self.shop, method, path, body)
        except HttpError as error:
            status, reply = error.status, {"error": str(error)}
        await send(writer, f"HTTP/1.1 {status} {REASONS[status]}", reply)


class Client:
    """Orders things at random, and looks whether the shop's answers are right."""

    def __init__(self, port, seed):
        self.port = port
        self.random = random.Random(seed)
        self.requests = 0
        self.spent = 0

    async def request(self, method, path, body=None):
        await send(self.writer, f"{method} {path} HTTP/1.1", body)
        (_, status, *_), headers = await read_head(self.reader)
        self.requests += 1
        return int(status), await read_body(self.reader, headers)

    async def order_something(self):
        skus = self.random.sample(sorted(PRICES), self.random.randint(1, len(PRICES)))
        items = [{"sku": sku, "quantity": self.random.randint(1, 9)} for sku in skus]
        status, placed = await self.request("POST", "/orders", {"items": items})
        expected = sum(PRICES[item["sku"]] * item["quantity"] for item in items)
        assert (status, placed["total"]) == (201, expected), placed
        self.spent += expected
        status, order = await self.request("GET", f"/orders/{placed['id']}")
        assert (status, order["items"]) == (200, items), order

    async def make_a_mistake(self):
        status, reply = await self.request("GET", f"/orders/{self.random.choice(['x', '0', '-1'])}")
        assert status == 404, reply
        status, reply = await self.request("POST", "/orders", {"items": [{"sku": "anvil", "quantity": 1}]})
        assert status == 400, reply

    async def run(self, more):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        visits = 0
        while more(visits):
            await self.order_something()
            visits += 1
            if visits % 10 == 0:
                await self.make_a_mistake()
            if visits % 25 == 0:
                status, reply = await self.request("GET", "/report")
                assert status == 200 and len(reply["best"]) == 3, reply
        self.writer.close()
        await self.writer.wait_closed()


async def serve_and_load(number_of_clients, more):
    shop = Shop()
    server = Server(shop)
    listener = await asyncio.start_server(server.handle_connection, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    invoicing = asyncio.create_task(shop.invoice(), name="invoicing")
    clients = [Client(port, seed) for seed in range(number_of_clients)]
    await asyncio.gather(*(client.run(more) for client in clients))
    await asyncio.gather(*server.connections)
    await shop.to_invoice.join()
    invoicing.cancel()
    listener.close()
    await listener.wait_closed()
    return shop, clients


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time to run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="place exactly so many orders per client instead")
    parser.add_argument("--clients", type=int, default=8, help="clients at the same time (default: %(default)s)")
    arguments = parser.parse_args()

    end = time.monotonic() + arguments.seconds

    def more(visits):
        return time.monotonic() < end if arguments.rounds is None else visits < arguments.rounds

    shop, clients = asyncio.run(serve_and_load(arguments.clients, more))
    spent = sum(client.spent for client in clients)
    agrees = "agree" if spent == shop.revenue else f"DO NOT AGREE ({spent} spent)"
    requests = sum(client.requests for client in clients)
    print(f"{requests} requests of {len(clients)} clients; {len(shop.orders)} orders, revenue {shop.revenue}: {agrees}")


if __name__ == "__main__":
    main()
