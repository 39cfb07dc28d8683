import sqlite3

import psycopg
import pytest


def test_a_connection_that_is_in_use_at_the_close_is_closed_when_it_comes_back(records):
    connection = records.reads.connect()
    own = connection.connection.dbapi_connection
    records.close()
    own.cursor()
    connection.close()
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError)):
        own.cursor()
