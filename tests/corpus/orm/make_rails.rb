# Prints rails.sql: what ActiveRecord (6.1 or newer) sends for the queries below, its own questions about the catalog among them.
#
# To make it again, with schema.sql in an empty database and the packages ruby-activerecord and ruby-pg:
#     ORM_URL=postgresql://postgres@127.0.0.1/orm ruby tests/corpus/orm/make_rails.rb >tests/corpus/orm/rails.sql
# Everything is rolled back.
require 'logger'
require 'active_record'

seen = {}
$name = 'connect'
ActiveSupport::Notifications.subscribe('sql.active_record') do |*, payload|
  sql = payload[:sql].strip
  unless seen[sql] || payload[:cached]
    seen[sql] = true
    ($said ||= []) << [$name, sql]
  end
end

class Base < ActiveRecord::Base
  self.abstract_class = true
end
class User < Base
  has_many :posts, foreign_key: :author_id
  has_many :orders
  has_many :memberships
  has_many :teams, through: :memberships
  has_many :comments, through: :posts
  has_one :profile, dependent: :destroy
  belongs_to :manager, class_name: 'User', optional: true
  has_many :likes
  scope :active, -> { where(is_active: true, deleted_at: nil) }
  scope :grown, -> { where('age >= ?', 18) }
  validates :email, uniqueness: true
end
class Profile < Base; belongs_to :user; end
class Team < Base; belongs_to :parent, class_name: 'Team', optional: true; has_many :memberships; end
class Membership < Base; belongs_to :team; belongs_to :user; end
class Post < Base
  belongs_to :author, class_name: 'User'
  has_many :comments
  has_many :likes, as: :likeable
  has_and_belongs_to_many :tags, join_table: 'posts_tags'
  scope :published, -> { where(published: true) }
end
class Comment < Base; belongs_to :post, counter_cache: true; belongs_to :author, class_name: 'User', optional: true; end
class Tag < Base; end
class Like < Base; belongs_to :likeable, polymorphic: true; belongs_to :user; end
class Order < Base; self.locking_column = :version; belongs_to :user; end
class Product < Base; self.inheritance_column = nil; end
class Book < Base; self.table_name = 'products'; end
class Event < Base; end
class Job < Base; end

def show(name)
  $name = name
  result = nil
  ActiveRecord::Base.transaction(requires_new: true) do
    result = yield
    result = result.to_a if result.is_a?(ActiveRecord::Relation)
  end
rescue ActiveRecord::RecordNotFound, ActiveRecord::RecordInvalid
  nil
end

ActiveRecord::Base.establish_connection(ENV.fetch('ORM_URL'))
ActiveRecord::Base.transaction do
  u, p, o = User, Post, Order
  show('find') { u.find(1) }
  show('find_by') { u.find_by(email: 'a', is_active: true) }
  show('find_many') { u.where(id: [1, 2, 3]) }
  show('first') { u.first }
  show('last') { u.last(3) }
  show('take') { u.take }
  show('where_nil') { u.where(deleted_at: nil).where.not(name: nil) }
  show('where_array') { u.where(email: %w[a b]) }
  show('where_array_nil') { u.where(name: ['a', nil]) }
  show('where_empty') { u.where(id: []) }
  show('where_range') { u.where(age: 18..65, created_at: Time.utc(2024)..) }
  show('where_exclusive') { u.where(age: 18...65) }
  show('where_not') { u.where.not(age: [1, 2], name: 'x') }
  show('where_sql') { u.where('lower(email) = ? AND age > ?', 'a', 3) }
  show('where_named') { u.where('name LIKE :q OR email ILIKE :q', q: '%x%') }
  show('or') { u.where(age: 1).or(u.where(name: 'x')) }
  show('scopes') { u.active.grown.order(created_at: :desc) }
  show('rewhere') { u.where(age: 1).rewhere(age: 2).unscope(:order) }
  show('select') { u.select(:id, :email, 'upper(name) AS up') }
  show('pluck') { u.order(:id).pluck(:id, :email) }
  show('ids') { u.where(age: 1).ids }
  show('distinct') { p.distinct.pluck(:author_id) }
  show('page') { p.order(published_at: :desc, id: :asc).limit(10).offset(20) }
  show('order_sql') { p.order(Arel.sql('published_at DESC NULLS LAST')) }
  show('reverse') { p.order(:title).reverse_order }
  show('exists') { u.exists?(email: 'a') }
  show('any') { u.where(age: 1).any? }
  show('many') { u.where(age: 1).many? }
  show('count') { u.count }
  show('count_distinct') { p.distinct.count(:author_id) }
  show('count_limit') { p.limit(5).count }
  show('group_count') { o.group(:state).count }
  show('group_sum') { o.group(:state).having('sum(total) > 10').sum(:total) }
  show('group_date') { Event.group("date_trunc('day', occurred_at)").count }
  show('aggregates') { [o.sum(:total), o.average(:total), o.minimum(:placed_at), o.maximum(:placed_on)] }
  show('joins') { u.joins(:posts).where(posts: { published: true }) }
  show('joins_nested') { u.joins(posts: :comments).distinct }
  show('left_joins') { u.left_joins(:orders).where(orders: { id: nil }) }
  show('joins_through') { u.joins(:teams).where(teams: { slug: 'x' }) }
  show('joins_sql') { u.joins("LEFT JOIN posts ON posts.author_id = users.id AND posts.published").group('users.id').select('users.*, count(posts.id) AS n') }
  show('joins_self') { u.joins(:manager).where(managers_users: { name: 'x' }) rescue u.joins(:manager) }
  show('habtm') { p.joins(:tags).where(tags: { name: %w[a b] }) }
  show('merge') { p.joins(:author).merge(u.active) }
  show('eager_load') { p.eager_load(:author, :comments).where(comments: { body: 'x' }) }
  show('eager_load_limit') { p.eager_load(:comments).order('posts.id').limit(5) }
  show('where_associated') { u.where.missing(:posts) }
  show('subquery') { u.where(id: p.published.select(:author_id)) }
  show('not_subquery') { u.where.not(id: p.select(:author_id)) }
  show('from') { u.from(u.where(age: 1), :users).where(name: 'x') }
  show('exists_sql') { u.where('EXISTS (SELECT 1 FROM posts WHERE posts.author_id = users.id)') }
  show('arel') { t = u.arel_table; u.where(t[:age].gt(3).and(t[:name].matches('%x%')).or(t[:email].eq('y'))) }
  show('arel_exists') { u.where(p.where(p.arel_table[:author_id].eq(u.arel_table[:id])).arel.exists) }
  show('arel_case') { t = o.arel_table; o.select(Arel::Nodes::Case.new.when(t[:state].eq('paid')).then(1).else(0).as('paid')) }
  show('arel_union') { u.from(Arel::Nodes::As.new(u.where(age: 1).select(:id).arel.union(u.where(age: 2).select(:id).arel), Arel.sql('users'))).select(:id) }
  show('window') { p.select('id, row_number() OVER (PARTITION BY author_id ORDER BY views DESC) AS n') }
  show('cte_sql') { u.find_by_sql('WITH grown AS (SELECT * FROM users WHERE age > 17) SELECT * FROM grown ORDER BY id') }
  show('find_by_sql') { u.find_by_sql(['SELECT * FROM users WHERE id = ?', 1]) }
  show('select_value') { u.connection.select_value('SELECT count(*) FROM users WHERE is_active') }
  show('select_all') { u.connection.select_all("SELECT state, count(*) FILTER (WHERE total > 10) FROM orders GROUP BY state") }
  show('json') { u.where("settings->>'theme' = ?", 'dark').where('settings @> ?', { a: 1 }.to_json) }
  show('json_has') { u.where("jsonb_exists(settings, 'a')") }
  show('json_question') { u.where("settings ? 'a'") }
  show('array') { u.where("'admin' = ANY(roles)").where('roles @> ARRAY[?]', ['x']) }
  show('array_overlap') { p.where('labels && ARRAY[?]::text[]', %w[a b]) }
  show('search') { p.where("to_tsvector('english', title || ' ' || coalesce(body, '')) @@ plainto_tsquery('english', ?)", 'cat') }
  show('search_rank') { p.select("posts.*, ts_rank(search, to_tsquery('cat')) AS rank").order('rank DESC').where("search @@ to_tsquery('cat')") }
  show('lateral') { u.joins('CROSS JOIN LATERAL (SELECT title FROM posts WHERE author_id = users.id ORDER BY id DESC LIMIT 1) latest').select('users.id, latest.title') }
  show('distinct_on') { p.select('DISTINCT ON (author_id) posts.*').order('author_id, views DESC') }
  show('interval') { Event.where("occurred_at > now() - interval '1 week'") }
  show('time') { Event.where('occurred_at >= ?', Time.utc(2024, 5, 6, 7, 8, 9)) }
  show('timezone') { Event.select("date_trunc('day', occurred_at AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') AS day") }
  show('annotate') { u.where(age: 77).annotate('controller:users,action:index') }
  show('hints') { u.optimizer_hints('SeqScan(users)').where(age: 78) }
  show('sti_type') { Book.where(type: 'Book').to_a rescue nil }
  show('in_batches') { u.find_each(batch_size: 2) { } }
  show('in_batches_from') { u.in_batches(of: 2, start: 5) { |b| b.pluck(:name) } }
  show('lock') { o.lock.find_by(id: 1) }
  show('lock_string') { Job.where(state: 'queued').order(:priority, :id).limit(1).lock('FOR UPDATE SKIP LOCKED') }
  show('lock_share') { o.lock('FOR SHARE').where(id: 2) }
  show('explain') { u.where(age: 3).explain }
  show('readonly_none') { u.none.to_a }

  user = post = nil
  show('create') do
    user = u.create!(email: 'a@x.org', name: 'A', age: 20, roles: ['x'], settings: { a: 1 })
    post = p.create!(author: user, title: 'T', published: true, labels: %w[a b])
  end
  show('preload') { p.preload(:author, :comments, :tags).to_a }
  show('includes') { u.includes(posts: :comments, orders: []).where(age: 20) }
  show('habtm_add') { post.tags.create!(name: 't1') }
  show('comment') { post.comments.create!(body: 'b') }
  show('association') { user.posts.where(published: true).order(:id).to_a; user.posts.size; user.posts.find_by(id: 3); user.teams.to_a; user.comments.to_a; user.profile }
  show('association_target') { Post.find(post.id).author; Comment.first.post }
  show('polymorphic') { post.likes.create!(user: user); post.likes.to_a; Like.includes(:likeable).to_a }
  show('reload') { user.reload }
  show('update') { user.update!(name: 'B') }
  show('update_column') { user.update_column(:age, 21) }
  show('touch') { user.touch }
  show('increment') { u.increment_counter(:age, user.id); user.increment!(:age) }
  show('update_all') { p.published.update_all(views: 0) }
  show('update_all_sql') { p.where(author_id: user.id).update_all('views = views + 1') }
  show('update_join') { p.joins(:author).where(users: { age: 3 }).update_all(published: false) }
  show('optimistic') { order = o.create!(user: user, total: 5, placed_on: Date.new(2024)); order.update!(state: 'paid') }
  show('insert_all') { Tag.insert_all([{ name: 'x1' }, { name: 'x2' }]) }
  show('insert_all_returning') { Tag.insert_all([{ name: 'x3' }], unique_by: :name, returning: %w[id name]) }
  show('upsert_all') { Tag.upsert_all([{ id: 1, name: 'y' }, { id: 2, name: 'z' }], unique_by: :id) }
  show('find_or_create') { Tag.find_or_create_by!(name: 'q') }
  show('with_lock') { user.with_lock { user.update!(age: 30) } }
  show('delete') { Like.last.delete }
  show('delete_all') { Comment.where(post_id: post.id).delete_all }
  show('delete_join') { Comment.joins(:post).where(posts: { published: false }).delete_all }
  show('destroy') { order = o.last; order.destroy; Profile.create!(user: user).user.profile.destroy }
  show('destroy_all') { Like.where(user_id: user.id).destroy_all }
  show('nullify') { post.tags.clear }
  show('advisory') { u.connection.get_advisory_lock(7); u.connection.release_advisory_lock(7) }
  show('schema') do
    c = u.connection
    c.tables; c.views; c.data_sources; c.columns('users'); c.indexes('posts'); c.foreign_keys('posts'); c.primary_keys('order_items')
    c.extensions; c.current_schema; c.encoding; c.collation; c.ctype; c.schema_names; c.client_min_messages; c.index_name_exists?('posts', 'x'); c.table_comment('users')
    c.check_constraints('users') rescue nil
    c.current_database
    c.column_exists?(:users, :name); c.table_exists?(:users); c.view_exists?(:active_users); c.data_source_exists?(:nothing)
    c.serial_sequence('users', 'id'); c.pk_and_sequence_for('users')
    c.session_auth = 'postgres' rescue nil
    c.schema_search_path = 'public'
  end
  show('migrations') { ActiveRecord::SchemaMigration.all_versions; ActiveRecord::InternalMetadata[:environment] }
  raise ActiveRecord::Rollback
end
$said.each_with_index do |(name, sql), place|
  puts "-- #{name}_#{place}\n#{sql}\n\n"
end
