-- The tables that the statements beside this file speak of: a shop with a forum, as each ORM would have it. Prisma's are
-- named in its own fashion.
CREATE TYPE order_status AS ENUM ('pending', 'paid', 'shipped', 'cancelled');

CREATE TABLE users (
    id bigserial PRIMARY KEY, email varchar(255) NOT NULL UNIQUE, name varchar(255), encrypted_password varchar(255) NOT NULL DEFAULT '',
    is_active boolean NOT NULL DEFAULT true, is_staff boolean NOT NULL DEFAULT false, age integer, balance numeric(12, 2) NOT NULL DEFAULT 0,
    roles text[] NOT NULL DEFAULT '{}', settings jsonb NOT NULL DEFAULT '{}', manager_id bigint REFERENCES users, last_login timestamptz,
    reset_token varchar(64), lock_version integer NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz
);
CREATE TABLE profiles (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE, bio text, avatar bytea, birthday date,
    wakes_at time, website varchar(200)
);
CREATE TABLE teams (id bigserial PRIMARY KEY, name varchar(100) NOT NULL, slug varchar(100) NOT NULL UNIQUE, parent_id bigint REFERENCES teams);
CREATE TABLE memberships (
    id bigserial PRIMARY KEY, team_id bigint NOT NULL REFERENCES teams, user_id bigint NOT NULL REFERENCES users,
    role varchar(20) NOT NULL DEFAULT 'member', joined_at timestamptz NOT NULL DEFAULT now(), UNIQUE (team_id, user_id)
);
CREATE TABLE posts (
    id bigserial PRIMARY KEY, author_id bigint NOT NULL REFERENCES users, title varchar(200) NOT NULL, slug varchar(200), body text,
    published boolean NOT NULL DEFAULT false, published_at timestamptz, views integer NOT NULL DEFAULT 0, rating double precision,
    metadata jsonb, labels text[], search tsvector, comments_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz
);
CREATE TABLE comments (
    id bigserial PRIMARY KEY, post_id bigint NOT NULL REFERENCES posts ON DELETE CASCADE, author_id bigint REFERENCES users,
    parent_id bigint REFERENCES comments, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE tags (id bigserial PRIMARY KEY, name varchar(50) NOT NULL UNIQUE);
CREATE TABLE posts_tags (id bigserial PRIMARY KEY, post_id bigint NOT NULL REFERENCES posts, tag_id bigint NOT NULL REFERENCES tags, UNIQUE (post_id, tag_id));
CREATE TABLE likes (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL, likeable_type varchar(50) NOT NULL, likeable_id bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE categories (id bigserial PRIMARY KEY, name varchar(100) NOT NULL, parent_id bigint REFERENCES categories, lft integer, rght integer);
CREATE TABLE products (
    id bigserial PRIMARY KEY, category_id bigint REFERENCES categories, sku uuid NOT NULL DEFAULT gen_random_uuid(), name varchar(200) NOT NULL,
    description text, price numeric(10, 2) NOT NULL, stock integer NOT NULL DEFAULT 0, attributes jsonb NOT NULL DEFAULT '{}',
    available_during tstzrange, available boolean NOT NULL DEFAULT true, type varchar(50), created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, status order_status NOT NULL DEFAULT 'pending', state varchar(20) NOT NULL DEFAULT 'new',
    total numeric(12, 2) NOT NULL DEFAULT 0, placed_at timestamp, placed_on date, note text, shipping jsonb, version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders, line integer NOT NULL, product_id bigint NOT NULL REFERENCES products,
    quantity integer NOT NULL, price numeric(10, 2) NOT NULL, PRIMARY KEY (order_id, line)
);
CREATE TABLE jobs (
    id bigserial PRIMARY KEY, queue varchar(50) NOT NULL DEFAULT 'default', payload jsonb NOT NULL DEFAULT '{}', state varchar(20) NOT NULL DEFAULT 'queued',
    attempts integer NOT NULL DEFAULT 0, priority smallint NOT NULL DEFAULT 0, run_at timestamptz NOT NULL DEFAULT now(), locked_at timestamptz, locked_by text
);
CREATE TABLE events (id bigserial PRIMARY KEY, kind varchar(50) NOT NULL, payload jsonb NOT NULL, occurred_at timestamptz NOT NULL, ip inet, took interval);
CREATE TABLE sessions (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL, expire_date timestamptz NOT NULL);
CREATE TABLE "Order Details" ("Id" serial PRIMARY KEY, "orderId" integer NOT NULL, "unitPrice" numeric, "select" text);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key varchar PRIMARY KEY, value varchar, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE TABLE django_migrations (id bigserial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);
CREATE TABLE _sqlx_migrations (
    version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL,
    checksum bytea NOT NULL, execution_time bigint NOT NULL
);

CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN');
CREATE TABLE "User" ("id" serial PRIMARY KEY, "email" text NOT NULL UNIQUE, "name" text, "role" "Role" NOT NULL DEFAULT 'USER', "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "tags" text[], "data" jsonb);
CREATE TABLE "Profile" ("id" serial PRIMARY KEY, "bio" text, "userId" integer NOT NULL UNIQUE REFERENCES "User");
CREATE TABLE "Post" (
    "id" serial PRIMARY KEY, "title" text NOT NULL, "content" text, "published" boolean NOT NULL DEFAULT false, "viewCount" integer NOT NULL DEFAULT 0,
    "authorId" integer NOT NULL REFERENCES "User", "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3)
);
CREATE TABLE "Category" ("id" serial PRIMARY KEY, "name" text NOT NULL);
CREATE TABLE "_CategoryToPost" ("A" integer NOT NULL REFERENCES "Category", "B" integer NOT NULL REFERENCES "Post");
CREATE TABLE "_prisma_migrations" (
    id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text,
    rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0
);

CREATE VIEW active_users AS SELECT id, email, name FROM users WHERE is_active AND deleted_at IS NULL;
CREATE SEQUENCE orders_seq INCREMENT BY 50;
