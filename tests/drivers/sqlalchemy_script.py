"""SQLAlchemy 2 against the URL in the first argument, by the dialect in the second: engine, ORM, reflection, pool."""

import asyncio
import sys

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import create_async_engine

from transcript import attempt, out

URL, DIALECT = sys.argv[1:]


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(schema="sa")


class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(30), unique=True)
    mood: orm.Mapped[str] = orm.mapped_column(sa.Enum("sad", "happy", name="mood", schema="sa"), server_default="happy")
    tags = orm.mapped_column(sa.ARRAY(sa.Text))
    more = orm.mapped_column(sa.JSON)
    books: orm.Mapped[list["Book"]] = orm.relationship(back_populates="author", cascade="all, delete-orphan",
                                                       order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(sa.Identity(), primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Author.id, ondelete="CASCADE"), index=True)
    title: orm.Mapped[str]
    price = orm.mapped_column(sa.Numeric(8, 2))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


def kept(connection):
    """What is there, until it is kept: outside a transaction, which has a connection of its own where pools are of sessions."""
    for turn in range(6):
        read = sa.text("SELECT * FROM warm.kept WHERE id = :id")
        attempt("kept", lambda: [tuple(row) for row in connection.execute(read, {"id": 1})])


def scene(connection):
    """All that is asked on one connection; the ORM's session is given it."""
    connection.exec_driver_sql("SET client_min_messages = warning")
    connection.exec_driver_sql("DROP SCHEMA IF EXISTS sa CASCADE")
    connection.exec_driver_sql("RESET client_min_messages")
    connection.execute(sa.schema.CreateSchema("sa"))
    Base.metadata.create_all(connection)
    connection.commit()
    out(connection.dialect.server_version_info, connection.dialect.default_schema_name, connection.default_isolation_level)

    with orm.Session(connection) as session:
        session.add_all(Author(id=n, name=f"author {n}", tags=["a", f"{n}"], more={"n": [n]},
                               books=[Book(title=f"book {n}.{m}", price=n * m) for m in range(4)]) for n in range(1, 40))
        session.commit()
        for turn in range(3):
            attempt("one", lambda: session.get(Author, 7).name)
            session.expire_all()
            attempt("lazy", lambda: [b.title for b in session.get(Author, 7).books])
            joined = sa.select(Author).options(orm.selectinload(Author.books)).where(Author.id < 5).order_by(Author.id)
            attempt("select in", lambda: [(a.name, a.mood, a.tags, a.more, len(a.books)) for a in session.scalars(joined)])
            eager = sa.select(Book).options(orm.joinedload(Book.author)).order_by(Book.id).limit(3)
            attempt("joined", lambda: [(b.title, b.author.name, b.price) for b in session.scalars(eager)])
            attempt("sum", lambda: session.execute(
                sa.select(Author.name, sa.func.sum(Book.price)).join(Book).group_by(Author.name).order_by(Author.name)).all()[:3])
            session.rollback()
        for turn in range(5):
            session.get(Author, 3).name = f"turn {turn}"
            session.commit()
            attempt("written", lambda: session.scalar(sa.select(Author.name).where(Author.id == 3)))
        session.delete(session.get(Author, 4))
        session.commit()
        attempt("cascade", lambda: session.scalar(sa.select(sa.func.count()).select_from(Book)))

        def nested():
            with session.begin_nested():
                session.add(Author(id=5, name="twice"))
        attempt("nested", nested)
        attempt("goes on", lambda: session.scalar(sa.select(Author.name).where(Author.id == 5)))
        session.rollback()
        attempt("returning", lambda: session.execute(
            sa.update(Book).where(Book.id < 4).values(price=9).returning(Book.id, Book.price)).all())
        attempt("upsert", lambda: session.execute(
            sa.dialects.postgresql.insert(Author).values(id=5, name="again").on_conflict_do_update(
                index_elements=["id"], set_={"name": "upserted"}).returning(Author.name)).all())
        attempt("rows for update", lambda: session.scalar(sa.select(Author.name).where(Author.id == 5).with_for_update()))
        session.rollback()
        attempt("undone", lambda: session.scalar(sa.select(Author.name).where(Author.id == 5)))
        session.commit()

    stream = sa.select(Book.id).execution_options(stream_results=True, max_row_buffer=7)
    attempt("stream", lambda: sum(row.id for row in connection.execute(stream)))
    connection.rollback()
    attempt("many", lambda: len(connection.execute(
        sa.insert(Book).returning(Book.id), [{"author_id": 1, "title": f"t{n}", "price": n} for n in range(1500)]).all()))
    connection.commit()
    for level in ["REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT", "READ COMMITTED"]:
        connection.execution_options(isolation_level=level)
        attempt(level, lambda: connection.execute(sa.text("SHOW transaction_isolation")).scalar())
        attempt("read", lambda: connection.execute(sa.select(sa.func.count()).select_from(Book)).scalar())
        connection.rollback()
    attempt("two phases", lambda: two_phases(connection))
    attempt("error", lambda: connection.execute(sa.text("SELECT 1/0")))
    attempt("after it", lambda: connection.execute(sa.text("SELECT 1")).scalar())
    connection.rollback()
    attempt("unique", lambda: connection.execute(sa.insert(Author).values(id=1, name="x")))
    connection.rollback()

    inspector = sa.inspect(connection)
    attempt("tables", lambda: sorted(inspector.get_table_names("sa")))
    attempt("columns", lambda: [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns("author", "sa")])
    attempt("keys", lambda: (inspector.get_pk_constraint("book", "sa"), inspector.get_foreign_keys("book", "sa"),
                             inspector.get_indexes("book", "sa"), inspector.get_unique_constraints("author", "sa"),
                             inspector.get_enums("sa")))
    connection.rollback()
    found = sa.MetaData()
    found.reflect(connection, schema="sa")
    attempt("reflected", lambda: [(t.name, [c.name for c in t.columns]) for t in found.sorted_tables])
    connection.rollback()


def two_phases(connection):
    if connection.dialect.driver == "asyncpg":
        return "asyncpg has none"
    with connection.begin_twophase(f"sidecache {DIALECT}") as transaction:
        connection.execute(sa.insert(Author).values(id=900, name="prepared"))
        transaction.prepare()
        transaction.commit()
    return connection.execute(sa.select(Author.name).where(Author.id == 900)).scalar()


def pooled(engine):
    for turn in range(20):
        with engine.begin() as connection:
            connection.execute(sa.update(Author).where(Author.id == 1).values(name=f"pooled {turn}"))
        with engine.connect() as connection:
            name = connection.execute(sa.select(Author.name).where(Author.id == 1)).scalar()
            assert name == f"pooled {turn}", name
    out("pooled", name)


url = sa.engine.make_url(URL).set(drivername=f"postgresql+{DIALECT}")
if DIALECT == "asyncpg":
    async def main():
        engine = create_async_engine(url, pool_pre_ping=True)
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.run_sync(kept)
        async with engine.connect() as connection:
            await connection.run_sync(scene)
        for turn in range(20):
            async with engine.begin() as connection:
                await connection.execute(sa.update(Author).where(Author.id == 1).values(name=f"pooled {turn}"))
            async with engine.connect() as connection:
                name = (await connection.execute(sa.select(Author.name).where(Author.id == 1))).scalar()
                assert name == f"pooled {turn}", name
        out("pooled", name)
        await engine.dispose()
    asyncio.run(main())
else:
    engine = sa.create_engine(url, pool_pre_ping=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        kept(connection)
    with engine.connect() as connection:
        scene(connection)
    pooled(engine)
    engine.dispose()
