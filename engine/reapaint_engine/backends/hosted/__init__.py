"""The hosted backends: a service runs the model, for money.

In: a window, a prompt and a key. Out: the service's sound for the mask; it is paid for once,
whatever goes wrong.
"""
