"""Prints sqlalchemy.sql: what SQLAlchemy 2.0 sends, on asyncpg, for the statements below.

To make it again: target/drivers/venv/bin/python tests/corpus/orm/make_sqlalchemy.py >tests/corpus/orm/sqlalchemy.sql
"""

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy import and_, case, cast, delete, distinct, exists, func, insert, literal, literal_column, not_, or_
from sqlalchemy import select, text, true, tuple_, update, values
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import (DeclarativeBase, aliased, contains_eager, joinedload, mapped_column, relationship,
                            selectinload, with_loader_criteria, Query)

printed = set()


def show(name, statement, dialect=pg.asyncpg.dialect(), **options):
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True, **options})
    sql = str(compiled)
    if dialect.name == "postgresql" and dialect.driver == "psycopg2":
        sql = sql.replace("%%", "%")
    assert sql not in printed, name
    printed.add(sql)
    print(f"-- {name}\n{sql}\n")


class Base(DeclarativeBase):
    pass


class Status(enum.Enum):
    pending = "pending"
    paid = "paid"


def column(*args, **kw):
    return mapped_column(*args, **kw)


class User(Base):
    __tablename__ = "users"
    id = column(sa.BigInteger, primary_key=True)
    email = column(sa.String(255))
    name = column(sa.String(255))
    is_active = column(sa.Boolean)
    age = column(sa.Integer)
    balance = column(sa.Numeric(12, 2))
    roles = column(pg.ARRAY(sa.Text))
    settings = column(pg.JSONB)
    manager_id = column(sa.ForeignKey("users.id"))
    last_login = column(sa.DateTime(timezone=True))
    created_at = column(sa.DateTime(timezone=True), server_default=func.now())
    deleted_at = column(sa.DateTime(timezone=True))
    posts = relationship("Post", back_populates="author")
    orders = relationship("Order", back_populates="user")
    manager = relationship("User", remote_side=[id])


posts_tags = sa.Table("posts_tags", Base.metadata, sa.Column("post_id", sa.ForeignKey("posts.id")), sa.Column("tag_id", sa.ForeignKey("tags.id")))


class Post(Base):
    __tablename__ = "posts"
    id = column(sa.BigInteger, primary_key=True)
    author_id = column(sa.ForeignKey("users.id"))
    title = column(sa.String(200))
    body = column(sa.Text)
    published = column(sa.Boolean)
    published_at = column(sa.DateTime(timezone=True))
    views = column(sa.Integer)
    rating = column(sa.Float)
    # `metadata` is SQLAlchemy's own word
    meta = column("metadata", pg.JSONB)
    labels = column(pg.ARRAY(sa.Text))
    search = column(pg.TSVECTOR)
    author = relationship(User, back_populates="posts")
    comments = relationship("Comment", back_populates="post")
    tags = relationship("Tag", secondary=posts_tags)


class Comment(Base):
    __tablename__ = "comments"
    id = column(sa.BigInteger, primary_key=True)
    post_id = column(sa.ForeignKey("posts.id"))
    author_id = column(sa.ForeignKey("users.id"))
    parent_id = column(sa.ForeignKey("comments.id"))
    body = column(sa.Text)
    post = relationship(Post, back_populates="comments")


class Tag(Base):
    __tablename__ = "tags"
    id = column(sa.BigInteger, primary_key=True)
    name = column(sa.String(50))


class Category(Base):
    __tablename__ = "categories"
    id = column(sa.BigInteger, primary_key=True)
    name = column(sa.String(100))
    parent_id = column(sa.ForeignKey("categories.id"))


class Product(Base):
    __tablename__ = "products"
    id = column(sa.BigInteger, primary_key=True)
    category_id = column(sa.ForeignKey("categories.id"))
    sku = column(sa.Uuid)
    name = column(sa.String(200))
    price = column(sa.Numeric(10, 2))
    stock = column(sa.Integer)
    attributes = column(pg.JSONB)
    available_during = column(pg.TSTZRANGE)


class Order(Base):
    __tablename__ = "orders"
    id = column(sa.BigInteger, primary_key=True)
    user_id = column(sa.ForeignKey("users.id"))
    status = column(sa.Enum(Status, name="order_status"))
    state = column(sa.String(20))
    total = column(sa.Numeric(12, 2))
    placed_at = column(sa.DateTime)
    placed_on = column(sa.Date)
    note = column(sa.Text)
    version = column(sa.Integer)
    user = relationship(User, back_populates="orders")
    items = relationship("Item", back_populates="order")
    __mapper_args__ = {"version_id_col": version}


class Item(Base):
    __tablename__ = "order_items"
    order_id = column(sa.ForeignKey("orders.id"), primary_key=True)
    line = column(sa.Integer, primary_key=True)
    product_id = column(sa.ForeignKey("products.id"))
    quantity = column(sa.Integer)
    price = column(sa.Numeric(10, 2))
    order = relationship(Order, back_populates="items")


class Job(Base):
    __tablename__ = "jobs"
    id = column(sa.BigInteger, primary_key=True)
    queue = column(sa.String(50))
    payload = column(pg.JSONB)
    state = column(sa.String(20))
    attempts = column(sa.Integer)
    priority = column(sa.SmallInteger)
    run_at = column(sa.DateTime(timezone=True))


class Event(Base):
    __tablename__ = "events"
    id = column(sa.BigInteger, primary_key=True)
    kind = column(sa.String(50))
    payload = column(pg.JSONB)
    occurred_at = column(sa.DateTime(timezone=True))
    ip = column(pg.INET)
    took = column(pg.INTERVAL)


day = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
manager, other = aliased(User, name="manager"), aliased(User)

# Lookups.
show("by_key", select(User).where(User.id == 1))
show("by_key_legacy", Query(User).filter(User.id == 1).statement.limit(1))
show("columns", select(User.id, User.email).where(User.email == "a"))
show("first", select(User).where(User.email == "a").order_by(User.id).limit(1))
show("null", select(User.id).where(User.deleted_at.is_(None), User.name.is_not(None)))
show("booleans", select(User.id).where(User.is_active.is_(True), not_(User.is_active)))
show("in_list", select(User).where(User.id.in_([1, 2, 3])))
show("in_list_strings", select(User.id).where(User.email.in_(["a", "b"])))
show("not_in_list", select(User.id).where(User.id.not_in([1, 2])))
show("in_empty", select(User.id).where(User.id.in_([])))
show("any_array", select(User.id).where(User.id == func.any(cast([1, 2], pg.ARRAY(sa.BigInteger)))))
show("like", select(User.id).where(User.name.like("a%"), User.name.ilike("%b%")))
show("starts", select(User.id).where(User.name.startswith("a"), User.name.endswith("z"), User.name.contains("m")))
show("autoescape", select(User.id).where(User.name.contains("50%", autoescape=True)))
show("icontains", select(User.id).where(User.name.icontains("x")))
show("regexp", select(User.id).where(User.name.regexp_match("^a"), User.email.regexp_match("b$", flags="i")))
show("regexp_replace", select(User.name.regexp_replace("a", "b", flags="g")))
show("between", select(User.id).where(User.age.between(18, 65)))
show("or_and", select(User.id).where(or_(User.age > 1, and_(User.age < 2, User.name != "x"), User.name == None)))  # noqa: E711
show("distinct_from", select(User.id).where(User.name.is_distinct_from("a"), User.age.is_not_distinct_from(3)))
show("row_in", select(Item).where(tuple_(Item.order_id, Item.line).in_([(1, 1), (2, 1)])))
show("row_compare", select(Post.id).where(tuple_(Post.published_at, Post.id) < (day, 10)).order_by(Post.published_at.desc(), Post.id.desc()).limit(20))
show("collate", select(User.id).order_by(sa.collate(User.name, "C")))
show("arithmetic", select((User.balance * 2 + 1).label("x"), (User.age % 10), -User.age, User.age / 2, User.age // 2))
show("concat", select(User.name + " <" + User.email + ">"))
show("bits", select(User.id).where(User.age.op("&")(4) == 4, User.age.bitwise_and(1) == 0))
show("between_dates", select(Order.id).where(Order.placed_on.between(dt.date(2024, 1, 1), dt.date(2024, 2, 1))))
show("enum", select(Order.id).where(Order.status == Status.paid))
show("enum_in", select(Order.id).where(Order.status.in_([Status.paid, Status.pending])))
show("uuid", select(Product.id).where(Product.sku == "0f8fad5b-d9cb-469f-a165-70867728950e"))
show("numeric", select(Product.id).where(Product.price >= 9.99, Product.price < 20))
show("literals", select(literal(1), literal("a"), literal(True), literal(None), literal(1.5)))
show("text", text("SELECT id, name FROM users WHERE id = :id AND name <> :name"))
show("text_columns", text("SELECT count(*) AS n FROM posts").columns(n=sa.Integer))
show("literal_column", select(literal_column("'x'"), literal_column("now()")))

# Pagination and order.
show("page", select(Post).order_by(Post.created_at if hasattr(Post, "created_at") else Post.id).limit(20).offset(40))
show("nulls", select(Post.id).order_by(Post.published_at.desc().nulls_last(), Post.rating.asc().nulls_first()))
show("fetch", select(Post.id).order_by(Post.views.desc()).fetch(5))
show("fetch_ties", select(Post.id).order_by(Post.views.desc()).fetch(5, with_ties=True))
show("distinct", select(Post.author_id).distinct())
show("distinct_on", select(Post).distinct(Post.author_id).order_by(Post.author_id, Post.views.desc()))
show("order_case", select(Order.id).order_by(case((Order.state == "new", 0), (Order.state == "paid", 1), else_=2), Order.id))
show("order_label", select(User.id, func.lower(User.name).label("low")).order_by("low"))
show("random", select(User.id).order_by(func.random()).limit(1))

# Joins.
show("join", select(User, Post).join(User.posts))
show("join_on", select(User.id, Order.total).join(Order, Order.user_id == User.id).where(Order.total > 10))
show("outer", select(User.id, Post.title).outerjoin(User.posts).where(Post.id.is_(None)))
show("full", select(User.id, Order.id).join(Order, full=True))
show("self", select(User.name, manager.name).join(User.manager.of_type(manager)))
show("self_outer", select(User.id, other.id).outerjoin(other, User.manager_id == other.id))
show("many_to_many", select(Post.id, Tag.name).join(Post.tags))
show("three", select(User.name, Post.title, Comment.body).join(User.posts).join(Post.comments).where(Comment.body.like("%x%")))
show("cross", select(Tag.name, Category.name).join_from(Tag, Category, true()))
show("comma", select(User.id, Order.id).where(User.id == Order.user_id))
show("lateral", select(User.id, (sub := select(Post.id, Post.title).where(Post.author_id == User.id).order_by(Post.id.desc()).limit(3).lateral("recent")).c.title).join(sub, true()))
show("lateral_outer", select(User.id, sub.c.id).outerjoin(sub, true()))
show("joinedload", select(Post).options(joinedload(Post.author)))
show("joinedload_inner", select(Post).options(joinedload(Post.author, innerjoin=True)))
show("joinedload_collection_limited", select(Post).options(joinedload(Post.comments)).limit(10))
show("joinedload_many", select(Post).options(joinedload(Post.tags), joinedload(Post.author).joinedload(User.manager)))
show("contains_eager", select(Order).join(Order.user).options(contains_eager(Order.user)).where(User.is_active))
show("selectin_loader", select(Comment.post_id, Comment.id, Comment.body).where(Comment.post_id.in_([1, 2, 3, 4])))
show("subquery_loader", select(Post, (anon := select(User.id.label("users_id")).where(User.age > 3).subquery()).c.users_id).join(anon, Post.author_id == anon.c.users_id))
show("criteria", select(User).options(with_loader_criteria(User, User.deleted_at.is_(None))))
show("lazy_parent", select(Post).where(sa.orm.with_parent(User(id=1), User.posts)))

# Subqueries.
show("in_subquery", select(User.id).where(User.id.in_(select(Post.author_id).where(Post.published))))
show("not_in_subquery", select(User.id).where(User.id.not_in(select(Post.author_id))))
show("exists", select(User.id).where(exists().where(Post.author_id == User.id)))
show("not_exists", select(User.id).where(~exists(select(Post.id).where(Post.author_id == User.id))))
show("any_relationship", select(User.id).where(User.posts.any(Post.title == "x")))
show("has_relationship", select(Post.id).where(Post.author.has(User.name == "x")))
show("has_many_to_many", select(Post.id).where(Post.tags.any(Tag.name.in_(["a", "b"]))))
show("scalar", select(User.id, select(func.count(Post.id)).where(Post.author_id == User.id).correlate(User).scalar_subquery().label("posts")))
show("scalar_compare", select(Product.id).where(Product.price > select(func.avg(Product.price)).scalar_subquery()))
show("any_subquery", select(Product.id).where(Product.price > sa.any_(select(Product.price).where(Product.stock == 0).scalar_subquery())))
show("all_subquery", select(Product.id).where(Product.price >= sa.all_(select(Product.price).scalar_subquery())))
show("from_subquery", select((s := select(Order.user_id, func.sum(Order.total).label("total")).group_by(Order.user_id).subquery()).c.user_id).where(s.c.total > 100))
show("join_subquery", select(User.name, s.c.total).join(s, s.c.user_id == User.id))
show("exists_column", select(exists().where(User.email == "a")))
show("aliased_subquery", select(aliased(User, select(User).where(User.age > 1).subquery("grown"))).limit(2))
show("values", select((v := values(sa.column("id", sa.Integer), sa.column("name", sa.String), name="v").data([(1, "a"), (2, "b")])).c.name).join(User, User.id == v.c.id))
show("table_valued", select((g := func.generate_series(1, 5).table_valued("n").render_derived()).c.n))
show("table_valued_named", select(User.id, func.jsonb_each_text(User.settings).table_valued("key", "value", name="pair", joins_implicitly=True).c.key))
show("unnest", select(Post.id, func.unnest(Post.labels).column_valued("label")))
show("with_ordinality", select(func.unnest(cast(["a", "b"], pg.ARRAY(sa.Text))).table_valued("x", with_ordinality="n", name="u").render_derived()))

# Aggregates and windows.
show("count", select(func.count()).select_from(User))
show("count_column", select(func.count(User.id), func.count(distinct(User.name))))
show("count_subquery", select(func.count()).select_from(select(Post.author_id).distinct().subquery()))
show("sums", select(func.sum(Order.total), func.avg(Order.total), func.min(Order.placed_at), func.max(Order.placed_on)))
show("coalesce", select(func.coalesce(func.sum(Order.total), 0)))
show("group", select(Order.state, func.count()).group_by(Order.state))
show("having", select(Post.author_id, func.count(Post.id).label("n")).group_by(Post.author_id).having(func.count(Post.id) > 3).order_by(sa.desc("n")))
show("filter", select(func.count().filter(Order.state == "paid"), func.sum(Order.total).filter(Order.total > 5)))
show("case_sum", select(func.sum(case((Order.state == "paid", Order.total), else_=0))))
show("case_simple", select(case({"new": "N", "paid": "P"}, value=Order.state, else_="?")))
show("array_agg", select(func.array_agg(Tag.name)))
show("aggregate_order", select(pg.aggregate_order_by(Tag.name, Tag.id.desc())).select_from(Tag) if False else select(func.string_agg(Tag.name, pg.aggregate_order_by(literal_column("', '"), Tag.name))))
show("json_agg", select(func.json_agg(func.json_build_object("id", Post.id, "title", Post.title))))
show("within_group", select(func.percentile_cont(0.5).within_group(Product.price), func.mode().within_group(Product.stock)))
show("cube", select(Order.state, Order.placed_on, func.sum(Order.total)).group_by(func.cube(Order.state, Order.placed_on)))
show("rollup", select(Order.state, func.sum(Order.total)).group_by(func.rollup(Order.state)))
show("grouping_sets", select(Order.state, Order.user_id, func.count()).group_by(func.grouping_sets(tuple_(Order.state), tuple_(Order.user_id))))
show("row_number", select(Post.id, func.row_number().over(partition_by=Post.author_id, order_by=Post.views.desc()).label("n")))
show("rank", select(Post.id, func.rank().over(order_by=Post.views.desc()), func.dense_rank().over(order_by=Post.views)))
show("running", select(Order.id, func.sum(Order.total).over(partition_by=Order.user_id, order_by=Order.id, rows=(None, 0))))
show("range_frame", select(func.avg(Order.total).over(order_by=Order.id, range_=(-5, 5))))
show("groups_frame", select(func.count().over(order_by=Order.state, groups=(-1, 1))) if hasattr(sa.sql.elements.Over, "groups") else select(func.count().over(order_by=Order.state)))
show("lag", select(Event.id, func.lag(Event.occurred_at, 1).over(partition_by=Event.kind, order_by=Event.occurred_at)))
show("first_value", select(func.first_value(Post.title).over(partition_by=Post.author_id, order_by=Post.id)))
show("window_filter", select(func.count().filter(Post.published).over(partition_by=Post.author_id)))
show("top_n", select((r := select(Post.id, Post.author_id, func.row_number().over(partition_by=Post.author_id, order_by=Post.id).label("n")).subquery()).c.id).where(r.c.n <= 3))

# CTEs and sets.
cte = select(Order.user_id, func.sum(Order.total).label("total")).group_by(Order.user_id).cte("totals")
show("cte", select(User.name, cte.c.total).join(cte, cte.c.user_id == User.id))
show("cte_twice", select(cte.c.user_id).where(cte.c.total > select(func.avg(cte.c.total)).scalar_subquery()))
show("cte_chain", select((c2 := select(cte.c.user_id).where(cte.c.total > 5).cte("rich")).c.user_id))
show("cte_materialized", select((m := select(User.id).where(User.age > 5).cte("old").prefix_with("MATERIALIZED")).c.id))
tree = select(Category.id, Category.name, Category.parent_id).where(Category.parent_id.is_(None)).cte("tree", recursive=True)
child = aliased(Category)
tree = tree.union_all(select(child.id, child.name, child.parent_id).join(tree, child.parent_id == tree.c.id))
show("recursive", select(tree.c.id, tree.c.name))
numbers = select(literal(1).label("n")).cte("numbers", recursive=True)
numbers = numbers.union(select(numbers.c.n + 1).where(numbers.c.n < 10))
show("recursive_union", select(func.sum(numbers.c.n)))
show("union", select(User.id).where(User.age > 1).union(select(Post.author_id)))
show("union_all", select(User.name).union_all(select(Tag.name)).order_by("name").limit(5))
show("intersect", select(User.id).intersect(select(Post.author_id)))
show("except", select(User.id).except_(select(Post.author_id), select(Order.user_id)))
show("union_of_limited", sa.union_all(select(Post.id).order_by(Post.views).limit(1), select(Post.id).order_by(Post.rating).limit(1)))
show("union_subquery", select((u := sa.union(select(User.id), select(Order.user_id)).subquery()).c.id))

# Types and functions.
show("cast", select(cast(User.id, sa.String), cast(User.balance, sa.Integer), cast("2024-01-01", sa.Date)))
show("type_coerce", select(User.id).where(cast(User.settings["age"].astext, sa.Integer) > 3))
show("json_get", select(User.settings["a"]["b"].astext, User.settings[("a", "b")].astext))
show("json_path", select(User.settings[("a", "0", "c")]))
show("json_contains", select(User.id).where(User.settings.contains({"a": 1}), User.settings.has_key("b")))
show("json_any", select(User.id).where(User.settings.has_any(pg.array(["a", "b"])), User.settings.has_all(pg.array(["c"]))))
show("json_path_match", select(Event.id).where(Event.payload.path_exists("$.a"), Event.payload.path_match("$.a == 1")))
show("json_build", select(func.jsonb_build_object("id", User.id), func.to_jsonb(User.roles)))
show("json_delete_path", select(User.settings.delete_path(["a", "b"])))
show("json_concat", select(User.settings.concat({"x": 1})))
show("array_contains", select(Post.id).where(Post.labels.contains(["a"]), Post.labels.overlap(["b", "c"])))
show("array_any", select(Post.id).where(Post.labels.any("x")))
show("array_index", select(Post.labels[1], Post.labels[1:2], func.array_length(Post.labels, 1), func.cardinality(Post.labels)))
show("array_literal", select(pg.array([1, 2]) + pg.array([3])))
show("array_subquery", select(User.id, func.array(select(Post.id).where(Post.author_id == User.id).correlate(User).scalar_subquery())))
show("tsvector", select(Post.id).where(Post.search.match("cat & dog", postgresql_regconfig="english")))
show("tsquery", select(Post.id, func.ts_rank(Post.search, func.plainto_tsquery("english", "cat")).label("rank")).where(Post.search.bool_op("@@")(func.websearch_to_tsquery("english", "cat"))).order_by(sa.desc("rank")))
show("headline", select(func.ts_headline("english", Post.body, func.to_tsquery("english", "cat"))))
show("range_contains", select(Product.id).where(Product.available_during.contains(day)))
show("range_overlaps", select(Product.id).where(Product.available_during.overlaps(func.tstzrange(day, None))))
show("inet", select(Event.id).where(Event.ip.op("<<=")(cast("10.0.0.0/8", pg.INET))))
show("interval", select(Event.id).where(Event.took > dt.timedelta(seconds=5)))
show("now", select(User.id).where(User.last_login > func.now() - dt.timedelta(days=7)))
show("current", select(func.current_timestamp(), func.current_date(), func.current_user()))
show("date_trunc", select(func.date_trunc("day", Event.occurred_at).label("day"), func.count()).group_by("day"))
show("extract", select(sa.extract("year", Order.placed_on), sa.extract("dow", Event.occurred_at)))
show("timezone", select(func.timezone("Europe/Berlin", Event.occurred_at)))
show("at_time_zone", select(Event.occurred_at.op("AT TIME ZONE")("UTC")))
show("to_char", select(func.to_char(Order.placed_at, "YYYY-MM")))
show("strings", select(func.lower(User.name), func.upper(User.name), func.length(User.name), func.trim(User.name), func.substr(User.name, 1, 3), func.split_part(User.email, "@", 2)))
show("nullif_greatest", select(func.nullif(User.name, ""), func.greatest(User.age, 1), func.least(User.age, 9)))
show("round", select(func.round(Product.price, 1), func.ceil(Product.price), func.floor(Product.price), func.abs(User.age)))
show("md5", select(func.md5(User.email), func.encode(func.sha256(cast(User.email, pg.BYTEA)), "hex")))
show("uuid_function", select(func.gen_random_uuid()))

# Writes.
show("insert", insert(User).values(email="a", name="b", is_active=True).returning(User.id, User.created_at))
show("insert_many", insert(Tag).values([{"name": "a"}, {"name": "b"}, {"name": "c"}]).returning(Tag.id))
show("insert_defaults", insert(Job).returning(Job.id))
show("insert_select", insert(Tag).from_select(["name"], select(func.lower(Category.name)).where(Category.parent_id.is_(None))))
show("insert_expression", insert(Event).values(kind="x", payload={"a": [1, 2]}, occurred_at=func.now()))
show("upsert_nothing", pg.insert(Tag).values(name="a").on_conflict_do_nothing())
show("upsert_nothing_target", pg.insert(Tag).values(name="a").on_conflict_do_nothing(index_elements=["name"]).returning(Tag.id))
up = pg.insert(User).values(email="a", name="b")
show("upsert_update", up.on_conflict_do_update(index_elements=[User.email], set_={"name": up.excluded.name, "age": User.age + 1}, where=User.is_active).returning(User.id))
show("upsert_constraint", up.on_conflict_do_update(constraint="users_email_key", set_=dict(name=up.excluded.name)))
show("update", update(User).where(User.id == 1).values(name="x", age=User.age + 1))
show("update_returning", update(Order).where(Order.id == 1, Order.version == 3).values(state="paid", version=4).returning(Order.total))
show("update_from", update(Item).where(Item.product_id == Product.id, Product.stock == 0).values(price=Product.price))
show("update_subquery", update(User).values(balance=select(func.coalesce(func.sum(Order.total), 0)).where(Order.user_id == User.id).scalar_subquery()))
show("update_values", update(Product).where(Product.id == (w := values(sa.column("id", sa.BigInteger), sa.column("stock", sa.Integer), name="w").data([(1, 5), (2, 6)])).c.id).values(stock=w.c.stock))
show("update_in", update(Job).where(Job.id.in_(select(Job.id).where(Job.state == "queued").order_by(Job.id).limit(5).with_for_update(skip_locked=True))).values(state="running").returning(Job))
show("update_cte", update(User).where(User.id.in_(select(cte.c.user_id))).values(is_active=True).add_cte(cte))
show("update_json", update(User).where(User.id == 1).values(settings=func.jsonb_set(User.settings, pg.array(["a"]), cast("b", pg.JSONB))))
show("update_array", update(User).where(User.id == 1).values(roles=func.array_append(User.roles, "admin")))
show("delete", delete(User).where(User.id == 1))
show("delete_returning", delete(Job).where(Job.state == "done").returning(Job.id))
show("delete_using", delete(Comment).where(Comment.post_id == Post.id, Post.deleted_at.is_not(None) if hasattr(Post, "deleted_at") else Post.published.is_(False)))
show("delete_exists", delete(Tag).where(~exists().where(posts_tags.c.tag_id == Tag.id)))
gone = delete(Job).where(Job.state == "failed").returning(Job.id, Job.payload).cte("gone")
show("modifying_cte", select(func.count()).select_from(gone))
show("archive", insert(Event).from_select(["kind", "payload", "occurred_at"], select(literal("job"), gone.c.payload, func.now())))

# Locks.
show("for_update", select(Order).where(Order.id == 1).with_for_update())
show("for_update_nowait", select(Order.id).where(Order.id == 1).with_for_update(nowait=True))
show("skip_locked", select(Job).where(Job.state == "queued").order_by(Job.priority.desc(), Job.id).limit(1).with_for_update(skip_locked=True))
show("for_share_of", select(Order.id).join(Order.user).with_for_update(read=True, of=User))
show("for_key_share", select(User.id).with_for_update(read=True, key_share=True))
show("for_no_key_update", select(User.id).with_for_update(key_share=True))

# What psycopg2 sends: the values are in the text.
psycopg2 = pg.psycopg2.dialect()
for name, statement in [
    ("psycopg2_key", select(User).where(User.id == 7)),
    ("psycopg2_strings", select(User.id).where(User.email == "o'hara", User.name.like("100%"))),
    ("psycopg2_in", select(Post.id, Post.title).where(Post.id.in_([1, 2, 3, 4, 5])).order_by(Post.id.desc()).limit(10).offset(20)),
    ("psycopg2_json", select(User.settings["a"].astext).where(User.settings["n"].as_integer() > 3)),
    ("psycopg2_insert", insert(Tag).values(name="it's").returning(Tag.id)),
    ("psycopg2_update", update(Order).where(Order.id == 1).values(note=None, state="x")),
    ("psycopg2_date", select(Order.id).where(Order.placed_on >= dt.date(2024, 1, 1))),
    ("psycopg2_bool", select(Post.id).where(Post.published == True, Post.rating > 4.5)),  # noqa: E712
]:
    show(name, statement, psycopg2, literal_binds=True)
