"""Prints django.sql: what Django 5.2 sends for the queries below, with psycopg 3, whose values stand in the text as Django binds them.

To make it again, with schema.sql in an empty database:
    ORM_DSN='host=127.0.0.1 dbname=orm user=postgres' target/drivers/venv/bin/python tests/corpus/orm/make_django.py >tests/corpus/orm/django.sql
Everything is rolled back.
"""

import datetime as dt
import os

import django
from django.apps import AppConfig
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

class Shop(AppConfig):
    name, label, path = "__main__", "shop", "."


dsn = conninfo_to_dict(os.environ["ORM_DSN"])
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": dsn["dbname"], "USER": dsn.get("user"),
                           "HOST": dsn.get("host"), "PORT": dsn.get("port", "")}},
    INSTALLED_APPS=["django.contrib.postgres", "__main__.Shop"], USE_TZ=True, DEBUG=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()

from django.contrib.postgres.aggregates import ArrayAgg, StringAgg, BoolOr, JSONBAgg  # noqa: E402
from django.contrib.postgres.expressions import ArraySubquery  # noqa: E402
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField  # noqa: E402
from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchRank, SearchVector, SearchVectorField  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.models import (Avg, Case, Count, Exists, ExpressionWrapper, F, FilteredRelation, Func, Max, Min, OuterRef, Prefetch,  # noqa: E402
                              Q, Subquery, Sum, Value, When, Window, prefetch_related_objects)
from django.db.models import functions as fn  # noqa: E402
from django.db.models.fields.json import KT  # noqa: E402


class Model(models.Model):
    class Meta:
        abstract = True
        app_label = "shop"


class User(Model):
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=255, null=True)
    is_active = models.BooleanField(default=True)
    age = models.IntegerField(null=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    roles = ArrayField(models.TextField(), default=list)
    settings = models.JSONField(default=dict)
    manager = models.ForeignKey("self", models.SET_NULL, null=True)
    last_login = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "users"


class Profile(Model):
    user = models.OneToOneField(User, models.CASCADE)
    bio = models.TextField(null=True)
    birthday = models.DateField(null=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "profiles"


class Tag(Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "tags"


class Post(Model):
    author = models.ForeignKey(User, models.CASCADE, related_name="posts")
    title = models.CharField(max_length=200)
    body = models.TextField(null=True)
    published = models.BooleanField(default=False)
    published_at = models.DateTimeField(null=True)
    views = models.IntegerField(default=0)
    rating = models.FloatField(null=True)
    metadata = models.JSONField(null=True)
    labels = ArrayField(models.TextField(), null=True)
    search = SearchVectorField(null=True)
    tags = models.ManyToManyField(Tag, through="PostTag")

    class Meta(Model.Meta):
        abstract = False
        db_table = "posts"


class PostTag(Model):
    post = models.ForeignKey(Post, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)

    class Meta(Model.Meta):
        abstract = False
        db_table = "posts_tags"


class Comment(Model):
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    author = models.ForeignKey(User, models.SET_NULL, null=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    body = models.TextField()

    class Meta(Model.Meta):
        abstract = False
        db_table = "comments"


class Category(Model):
    name = models.CharField(max_length=100)
    parent = models.ForeignKey("self", models.CASCADE, null=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "categories"


class Product(Model):
    category = models.ForeignKey(Category, models.CASCADE, null=True)
    sku = models.UUIDField()
    name = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField(default=0)
    attributes = models.JSONField(default=dict)
    available_during = DateTimeRangeField(null=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "products"


class Order(Model):
    user = models.ForeignKey(User, models.CASCADE, related_name="orders")
    state = models.CharField(max_length=20)
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    placed_on = models.DateField(null=True)
    note = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "orders"


class Event(Model):
    kind = models.CharField(max_length=50)
    payload = models.JSONField()
    occurred_at = models.DateTimeField()
    ip = models.GenericIPAddressField(null=True)
    took = models.DurationField(null=True)

    class Meta(Model.Meta):
        abstract = False
        db_table = "events"


class Session(Model):
    session_key = models.CharField(max_length=40, primary_key=True)
    session_data = models.TextField()
    expire_date = models.DateTimeField()

    class Meta(Model.Meta):
        abstract = False
        db_table = "sessions"


seen = set()


def run(name, action):
    before = len(connection.queries_log)
    try:
        with transaction.atomic():
            result = action()
            if isinstance(result, models.QuerySet):
                list(result)
    except Exception as error:  # noqa: BLE001
        raise SystemExit(f"{name}: {error}")
    said = [q["sql"] for q in list(connection.queries_log)[before:]]
    number = 0
    for sql in said:
        # Savepoints of this script's own are named after its thread.
        sql = sql.strip().rstrip(";")
        if sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO")) and "s1" in seen or sql in seen:
            continue
        if sql.startswith("SAVEPOINT"):
            seen.add("s1")
        seen.add(sql)
        number += 1
        print(f"-- {name}{'' if number == 1 else f'_{number}'}\n{sql}\n")


day = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
u, p, o = User.objects, Post.objects, Order.objects


def users():
    taken = User.objects.count()
    return [User.objects.create(email=f"{n}@x.org", name=f"n{n}", age=n) for n in range(taken, taken + 3)]


reads = {
    "get": lambda: u.filter(pk=1).first(),
    "get_by": lambda: list(u.filter(email="a@x.org")[:21]),
    "all": lambda: u.all(),
    "exact_null": lambda: u.filter(deleted_at=None, name__isnull=False),
    "iexact": lambda: u.filter(email__iexact="A@x.org"),
    "contains": lambda: u.filter(name__contains="50%"),
    "icontains": lambda: u.filter(name__icontains="x_"),
    "starts_ends": lambda: u.filter(name__startswith="a", email__iendswith=".org"),
    "regex": lambda: u.filter(name__regex=r"^a.*", email__iregex="b$"),
    "in": lambda: u.filter(pk__in=[1, 2, 3]),
    "in_strings": lambda: u.filter(name__in=["a", "b'c"]),
    "range": lambda: o.filter(placed_on__range=(dt.date(2024, 1, 1), dt.date(2024, 2, 1))),
    "comparisons": lambda: u.filter(age__gt=1, age__lte=9, balance__gte=1.5).exclude(age=4),
    "exclude_null": lambda: u.exclude(name="x"),
    "exclude_related": lambda: u.exclude(posts__title="x"),
    "q_or": lambda: u.filter(Q(age=1) | Q(name="x") & ~Q(email="y")),
    "q_xor": lambda: u.filter(Q(age=1) ^ Q(name="x")),
    "year": lambda: Event.objects.filter(occurred_at__year=2024),
    "date_parts": lambda: Event.objects.filter(occurred_at__month=5, occurred_at__day=6, occurred_at__hour__gte=7),
    "week_day": lambda: Event.objects.filter(occurred_at__week_day=2, occurred_at__iso_year=2024, occurred_at__quarter=1),
    "date_lookup": lambda: Event.objects.filter(occurred_at__date=dt.date(2024, 1, 1), occurred_at__time__gt=dt.time(8)),
    "duration": lambda: Event.objects.filter(took__gt=dt.timedelta(minutes=5)),
    "inet": lambda: Event.objects.filter(ip="10.0.0.1"),
    "uuid": lambda: Product.objects.filter(sku="0f8fad5b-d9cb-469f-a165-70867728950e"),
    "values": lambda: u.values("id", "email").order_by("-id"),
    "values_list_flat": lambda: u.values_list("email", flat=True).distinct(),
    "only": lambda: u.only("id", "name"),
    "defer": lambda: p.defer("body", "search"),
    "slice": lambda: u.order_by("id")[20:30],
    "last": lambda: u.last(),
    "latest": lambda: p.filter(published=True).order_by("-published_at").first(),
    "reverse": lambda: p.order_by("author_id", "-views").reverse(),
    "order_nulls": lambda: p.order_by(F("published_at").desc(nulls_last=True), F("rating").asc(nulls_first=True)),
    "order_random": lambda: u.order_by("?")[:1],
    "order_related": lambda: p.order_by("author__name"),
    "order_collate": lambda: u.order_by(fn.Collate("name", "C")),
    "distinct_on": lambda: p.order_by("author", "-views").distinct("author"),
    "exists": lambda: u.filter(email="x").exists(),
    "count": lambda: u.count(),
    "count_distinct_slice": lambda: p.values("author").distinct()[:5].count(),
    "in_bulk": lambda: u.in_bulk([1, 2]),
    "iterator": lambda: list(u.filter(age=1).iterator()),
    "none_or": lambda: u.filter(Q(pk__in=[]) | Q(age=1)),
    "select_related": lambda: p.select_related("author"),
    "select_related_deep": lambda: Comment.objects.select_related("post__author", "author"),
    "one_to_one": lambda: u.select_related("profile"),
    "related_filter": lambda: p.filter(author__email="x"),
    "reverse_filter": lambda: u.filter(posts__published=True).distinct(),
    "two_joins_same": lambda: u.filter(posts__title="a").filter(posts__views=3),
    "many_to_many": lambda: p.filter(tags__name__in=["a", "b"]),
    "many_to_many_count": lambda: Tag.objects.annotate(n=Count("post")).filter(n__gt=1),
    "filtered_relation": lambda: u.annotate(good=FilteredRelation("posts", condition=Q(posts__rating__gt=4))).filter(good__title="x"),
    "self_join": lambda: u.filter(manager__name="x", manager__manager__isnull=True),
    "aggregate": lambda: o.aggregate(Sum("total"), Avg("total"), Min("placed_on"), Max("placed_on"), n=Count("id")),
    "aggregate_filter": lambda: o.aggregate(paid=Sum("total", filter=Q(state="paid")), n=Count("id", filter=~Q(state="new"))),
    "aggregate_default": lambda: o.aggregate(s=Sum("total", default=0)),
    "annotate_count": lambda: u.annotate(n=Count("posts")),
    "annotate_two": lambda: u.annotate(n=Count("posts", distinct=True), m=Count("orders", distinct=True)),
    "group_values": lambda: o.values("state").annotate(n=Count("id"), s=Sum("total")).order_by("-n"),
    "having": lambda: u.annotate(n=Count("posts")).filter(n__gte=2).values("id", "n"),
    "aggregate_over_subquery": lambda: u.annotate(n=Count("posts")).aggregate(Avg("n")),
    "array_agg": lambda: p.annotate(names=ArrayAgg("tags__name", distinct=True, filter=Q(tags__isnull=False), default=Value([]))),
    "string_agg": lambda: p.annotate(names=StringAgg("tags__name", ", ", ordering="tags__name")),
    "bool_or": lambda: u.annotate(any=BoolOr("posts__published")),
    "json_agg": lambda: u.annotate(j=JSONBAgg("posts__title", ordering="-posts__id")),
    "subquery": lambda: u.annotate(latest=Subquery(p.filter(author=OuterRef("pk")).order_by("-id").values("title")[:1])),
    "array_subquery": lambda: u.annotate(titles=ArraySubquery(p.filter(author=OuterRef("pk")).values("title"))),
    "exists_subquery": lambda: u.filter(Exists(p.filter(author=OuterRef("pk"), published=True))),
    "exists_annotation": lambda: u.annotate(has=Exists(p.filter(author=OuterRef("pk")))).filter(~Exists(o.filter(user=OuterRef("pk")))),
    "in_subquery": lambda: u.filter(pk__in=p.filter(published=True).values("author")),
    "count_subquery": lambda: u.annotate(n=Subquery(p.filter(author=OuterRef("pk")).values("author").annotate(c=Count("pk")).values("c"))),
    "expression": lambda: Product.objects.annotate(worth=ExpressionWrapper(F("price") * F("stock"), output_field=models.DecimalField())).filter(worth__gt=100),
    "compare_columns": lambda: p.filter(views__gt=F("rating") * 2),
    "case": lambda: u.annotate(kind=Case(When(age__lt=18, then=Value("young")), When(age__lt=65, then=Value("grown")), default=Value("old"))),
    "case_aggregate": lambda: o.aggregate(n=Sum(Case(When(state="paid", then=1), default=0))),
    "window": lambda: p.annotate(n=Window(fn.RowNumber(), partition_by=F("author"), order_by=F("views").desc())),
    "window_frame": lambda: o.annotate(s=Window(Sum("total"), partition_by="user", order_by="id", frame=models.RowRange(start=None, end=0))),
    "window_filter": lambda: p.annotate(n=Window(fn.Rank(), partition_by="author", order_by="-views")).filter(n__lte=3),
    "window_lag": lambda: Event.objects.annotate(before=Window(fn.Lag("occurred_at", 1), partition_by="kind", order_by="occurred_at")),
    "union": lambda: u.values_list("id").union(p.values_list("author")),
    "union_all": lambda: u.values_list("name").union(Tag.objects.values_list("name"), all=True).order_by("name")[:5],
    "intersection": lambda: u.values_list("id").intersection(o.values_list("user")),
    "difference": lambda: u.values_list("id").difference(o.values_list("user")),
    "text_functions": lambda: u.annotate(a=fn.Lower("name"), b=fn.Upper("email"), c=fn.Length("name"), d=fn.Substr("name", 1, 3), e=fn.Trim("name"), f=fn.Concat("name", Value(" "), "email", output_field=models.TextField())),
    "text_functions_2": lambda: u.annotate(a=fn.Left("name", 2), b=fn.Right("name", 2), c=fn.LPad("name", 5, Value("x")), d=fn.Replace("name", Value("a"), Value("b")), e=fn.StrIndex("name", Value("a")), f=fn.Repeat("name", 2), g=fn.Reverse("name"), h=fn.MD5("name"), j=fn.Ord("name"), k=fn.Chr("age")),
    "math_functions": lambda: u.annotate(a=fn.Abs("age"), b=fn.Ceil("balance"), c=fn.Floor("balance"), d=fn.Round("balance", 1), e=fn.Mod("age", 3), f=fn.Power("age", 2), g=fn.Sqrt(fn.Abs("age")), h=fn.Sign("age")),
    "null_functions": lambda: u.annotate(a=fn.Coalesce("name", Value("x")), b=fn.NullIf("name", Value("")), c=fn.Greatest("age", 1), d=fn.Least("age", 9)),
    "cast": lambda: u.annotate(a=fn.Cast("age", models.TextField()), b=fn.Cast("id", models.FloatField())),
    "trunc": lambda: Event.objects.annotate(d=fn.TruncDay("occurred_at")).values("d").annotate(n=Count("id")).order_by("d"),
    "trunc_date": lambda: Event.objects.annotate(m=fn.TruncMonth("occurred_at", output_field=models.DateField()), t=fn.TruncHour("occurred_at"), x=fn.TruncDate("occurred_at")),
    "extract": lambda: Event.objects.annotate(y=fn.ExtractYear("occurred_at"), w=fn.ExtractWeek("occurred_at"), d=fn.ExtractIsoWeekDay("occurred_at"), s=fn.ExtractSecond("occurred_at")),
    "now": lambda: u.filter(last_login__lt=fn.Now() - dt.timedelta(days=7)),
    "date_arithmetic": lambda: Event.objects.annotate(end=F("occurred_at") + F("took")).filter(end__gt=day),
    "json_key": lambda: u.filter(settings__theme="dark"),
    "json_nested": lambda: u.filter(settings__a__b__0="x", settings__n__gt=3),
    "json_has": lambda: u.filter(settings__has_key="a", settings__has_any_keys=["b", "c"], settings__has_keys=["d", "e"]),
    "json_contains": lambda: u.filter(settings__contains={"a": [1]}, settings__contained_by={"a": [1, 2]}),
    "json_isnull": lambda: u.filter(settings__a__isnull=True, settings__b=None),
    "json_text": lambda: u.annotate(t=KT("settings__theme")).values("t"),
    "json_icontains": lambda: u.filter(settings__name__icontains="x"),
    "json_in": lambda: u.filter(settings__n__in=[1, 2]),
    "json_object": lambda: u.annotate(j=fn.JSONObject(id="id", name=fn.Lower("name"))),
    "array_contains": lambda: p.filter(labels__contains=["a"], labels__overlap=["b", "c"]),
    "array_contained": lambda: p.filter(labels__contained_by=["a", "b"], labels__len__gt=1),
    "array_index": lambda: p.filter(labels__0="a", labels__1_3=["b"]),
    "array_any": lambda: p.filter(labels__icontains="a") if False else u.filter(roles__contains=["admin"]),
    "range_contains": lambda: Product.objects.filter(available_during__contains=day),
    "range_bounds": lambda: Product.objects.filter(available_during__startswith__lt=day, available_during__isempty=False),
    "search": lambda: p.annotate(v=SearchVector("title", "body", config="english")).filter(v="cat"),
    "search_rank": lambda: p.annotate(rank=SearchRank(F("search"), SearchQuery("cat dog", config="english"))).filter(search=SearchQuery("cat", search_type="websearch")).order_by("-rank"),
    "search_weighted": lambda: p.annotate(r=SearchRank(SearchVector("title", weight="A") + SearchVector("body", weight="B"), SearchQuery("a") | SearchQuery("b") & ~SearchQuery("c"))).filter(r__gte=0.1),
    "search_headline": lambda: p.annotate(h=SearchHeadline("body", SearchQuery("cat"), start_sel="<b>", stop_sel="</b>")),
    "alias": lambda: u.alias(n=Count("posts")).filter(n=0),
    "func": lambda: u.annotate(x=Func(F("name"), function="INITCAP", output_field=models.TextField())),
    "value_true": lambda: u.annotate(one=Value(1), yes=Value(True), text=Value("x")),
    "extra": lambda: u.extra(select={"up": "upper(name)"}, where=["age > %s"], params=[3]),
    "raw": lambda: list(u.raw("SELECT id, name FROM users WHERE age > %s ORDER BY id", [1])),
    "explain": lambda: u.filter(age=1).explain(),
    "explain_options": lambda: u.filter(age=2).explain(verbose=True, costs=False, format="json"),
    "dates": lambda: o.dates("placed_on", "month", order="DESC"),
    "datetimes": lambda: Event.objects.datetimes("occurred_at", "week"),
    "session": lambda: Session.objects.filter(session_key="abc", expire_date__gt=day),
    "for_update": lambda: u.filter(pk=1).select_for_update(),
    "for_update_of": lambda: p.select_related("author").select_for_update(of=("self",), nowait=True),
    "skip_locked": lambda: u.order_by("id").select_for_update(skip_locked=True)[:1],
    "no_key": lambda: u.filter(pk=2).select_for_update(no_key=True),
}


def related():
    first = users()[0]
    post = Post.objects.create(author=first, title="t", labels=["a"], metadata={"a": 1}, published_at=day)
    tag = Tag.objects.create(name=f"t{post.pk}")
    PostTag.objects.create(post=post, tag=tag)
    Comment.objects.create(post=post, author=first, body="b")
    Profile.objects.create(user=first)
    return first, post, tag


def prefetch():
    related()
    list(User.objects.prefetch_related("posts", "posts__comments", Prefetch("orders", Order.objects.filter(total__gt=1))))
    list(Post.objects.prefetch_related("tags"))
    prefetch_related_objects(list(Post.objects.all()), "author__profile")


def lazy():
    first, post, tag = related()
    Post.objects.get(pk=post.pk).author
    list(first.posts.all())
    list(post.tags.all())
    User.objects.get(pk=first.pk).profile
    list(Comment.objects.get(post=post).post.comments.exclude(pk=1))
    first.posts.filter(published=True).count()
    first.refresh_from_db(fields=["name"])
    first.refresh_from_db()


def writes():
    first, post, tag = related()
    first.name = "new"
    first.save()
    first.save(update_fields=["name"])
    first.save(force_update=True)
    Session(session_key="k", session_data="d", expire_date=day).save()
    Session(session_key="k", session_data="e", expire_date=day).save(force_update=True)
    Tag.objects.bulk_create([Tag(name=f"b{n}") for n in range(3)])
    Tag.objects.bulk_create([Tag(name="b1")], ignore_conflicts=True)
    Tag.objects.bulk_create([Tag(name="b1"), Tag(name="b7")], update_conflicts=True, update_fields=["name"], unique_fields=["name"])
    tags = list(Tag.objects.all())
    for t in tags:
        t.name += "!"
    Tag.objects.bulk_update(tags, ["name"])
    User.objects.filter(pk=first.pk).update(age=F("age") + 1, settings={"a": 1}, roles=["x"])
    Post.objects.filter(author__name="new").update(views=F("views") + 1)
    User.objects.update(name=Subquery(Post.objects.filter(author=OuterRef("pk")).values("title")[:1]))
    Product.objects.create(sku="0f8fad5b-d9cb-469f-a165-70867728950e", name="p", price="9.99", attributes={})
    Product.objects.update(price=Case(When(stock__gt=5, then=F("price") * 2), default=F("price")))
    Order.objects.create(user=first, state="new", placed_on=dt.date(2024, 1, 1))
    Event.objects.create(kind="k", payload={}, occurred_at=day, took=dt.timedelta(hours=1), ip="::1")
    Tag.objects.get_or_create(name="zz")
    Tag.objects.update_or_create(name="zz", defaults={"name": "yy"})
    Comment.objects.filter(body="b").delete()
    PostTag.objects.filter(post__title="t").delete()
    Tag.objects.filter(name__startswith="b").delete()
    Order.objects.all().delete()
    first.delete()
    Post.objects.filter(author__isnull=True)._raw_delete("default")


def migrations():
    from django.db.migrations.recorder import MigrationRecorder
    recorder = MigrationRecorder(connection)
    recorder.applied_migrations()
    recorder.record_applied("shop", "0001")
    recorder.record_unapplied("shop", "0001")


def introspection():
    with connection.cursor() as cursor:
        i = connection.introspection
        i.get_table_list(cursor)
        i.get_table_description(cursor, "users")
        i.get_sequences(cursor, "users")
        i.get_relations(cursor, "posts")
        i.get_constraints(cursor, "posts")
        cursor.execute("SHOW server_version")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [7])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("SELECT set_config('TimeZone', 'UTC', false)")
        cursor.execute("SELECT typname FROM pg_type WHERE typname = 'citext'")


connection.ensure_connection()
connection.queries_log.clear()
with transaction.atomic():
    for name, action in reads.items():
        run(name, action)
    for action in (prefetch, lazy, writes, migrations, introspection):
        run(action.__name__, action)
    transaction.set_rollback(True)
for name, sql in [("begin", "BEGIN"), ("commit", "COMMIT"), ("rollback", "ROLLBACK"), ("rollback_to", 'ROLLBACK TO SAVEPOINT "s1_x1"'),
                  ("release", 'RELEASE SAVEPOINT "s1_x1"')]:
    print(f"-- {name}\n{sql}\n")
