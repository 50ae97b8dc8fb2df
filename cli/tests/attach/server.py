"""A server of a kind: worker threads answer, and the client checks each answer. Says how many were right, every so often."""

import queue
import sys
import threading


def answer(question):
    x = question
    for i in range(question):
        x = (x * 31 + i) % 1000003
    return x


def work(questions, answers):
    while True:
        question = questions.get()
        answers.put((question, answer(question)))


def main():
    expected = {question: answer(question) for question in range(100, 140)}
    questions, answers = queue.Queue(), queue.Queue()
    for _ in range(4):
        threading.Thread(target=work, args=(questions, answers), daemon=True).start()
    print("ready", flush=True)
    while True:
        for question in expected:
            questions.put(question)
        for _ in expected:
            question, got = answers.get()
            if got != expected[question]:
                print("wrong", question, got, flush=True)
                sys.exit(9)
        # Threads come and go, too.
        short = threading.Thread(target=answer, args=(50,))
        short.start()
        short.join()
        print("right", flush=True)


main()
