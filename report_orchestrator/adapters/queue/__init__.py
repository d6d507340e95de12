"""Django-Q2 as the queue.

django_q      messages and schedule rows
probe         the doctor's check of the broker
timestamps    instants in Django-Q's columns
"""
