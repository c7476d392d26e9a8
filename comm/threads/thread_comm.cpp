// Ranks as threads of one process. A collective is a meeting: each rank leaves its buffers, and the last to arrive does the
// work of all. Arrival order is issue order on every rank, so meetings finish in order and a counter tells which are done.
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "comm/backends.h"
#include "comm/collective_args.h"
#include "comm/ordered_reduce.h"

namespace rk {
namespace {

// What all groups of one world share. Its mutex guards every group's state, too.
struct World {
  explicit World(int size) : gone(static_cast<size_t>(size), false) {}
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<bool> gone;    // by world rank: has left its body
  std::exception_ptr error;  // the first
};

enum class Kind : uint8_t { all_reduce, reduce_scatter, all_gather, all_to_all, broadcast, barrier, split };

// What one rank asks for.
struct Call {
  Kind kind = Kind::barrier;
  Reduce op = Reduce::sum;
  int root = 0;
  Tensor in{}, out{};
  int color = 0;

  bool fits(const Call& other) const {
    return kind == other.kind && op == other.op && root == other.root && in.dtype == other.in.dtype && in.numel() == other.in.numel();
  }
};

struct Meeting {
  int n_arrived = 0;
  size_t first = 0;         // the rank that opened it
  std::vector<Call> calls;  // by rank
};

struct Group {
  Group(World& w, std::vector<int> world_ranks)
      : world(w), members(std::move(world_ranks)), issued(members.size()), ring(16), parts(members.size()) {}

  int size() const { return static_cast<int>(members.size()); }

  World& world;
  std::vector<int> members;  // world rank of each rank
  std::vector<uint64_t> issued;
  uint64_t completed = 0;
  std::vector<Meeting> ring;  // meeting number `id` at id % size; those after `completed` are open
  std::map<int, std::shared_ptr<Group>> by_color;
  std::vector<const void*> parts;
};

void copy_bytes(void* to, const void* from, size_t n_bytes) {
  if (to != from && n_bytes > 0) std::memcpy(to, from, n_bytes);
}

void do_all_reduce(Group& g, const Meeting& m) {
  const Tensor& x = m.calls[0].in;
  for (size_t p = 0; p < m.calls.size(); ++p) g.parts[p] = m.calls[p].in.data;
  ordered_reduce(x.dtype, m.calls[0].op, g.parts, x.data, x.numel());
  for (const Call& c : m.calls) copy_bytes(c.in.data, x.data, x.n_bytes());
}

// A rank's out may be its own slice of in, which no other rank's sum reads.
void do_reduce_scatter(Group& g, const Meeting& m) {
  for (int r = 0; r < g.size(); ++r) {
    const Tensor& out = m.calls[static_cast<size_t>(r)].out;
    for (size_t p = 0; p < m.calls.size(); ++p) g.parts[p] = slice_at(m.calls[p].in, r, out.n_bytes());
    ordered_reduce(out.dtype, Reduce::sum, g.parts, out.data, out.numel());
  }
}

void do_all_gather(const Meeting& m) {
  for (const Call& to : m.calls) {
    int p = 0;
    for (const Call& from : m.calls) copy_bytes(slice_at(to.out, p++, from.in.n_bytes()), from.in.data, from.in.n_bytes());
  }
}

void do_all_to_all(const Meeting& m) {
  const size_t slice = m.calls[0].in.n_bytes() / m.calls.size();
  for (size_t to = 0; to < m.calls.size(); ++to)
    for (size_t from = 0; from < m.calls.size(); ++from)
      copy_bytes(slice_at(m.calls[to].out, static_cast<int>(from), slice), slice_at(m.calls[from].in, static_cast<int>(to), slice), slice);
}

void do_broadcast(const Meeting& m) {
  const Tensor& source = m.calls[static_cast<size_t>(m.calls[0].root)].in;
  for (const Call& c : m.calls) copy_bytes(c.in.data, source.data, source.n_bytes());
}

void do_split(Group& g, const Meeting& m) {
  std::map<int, std::vector<int>> members;
  for (size_t r = 0; r < m.calls.size(); ++r) members[m.calls[r].color].push_back(g.members[r]);
  g.by_color.clear();
  for (auto& [color, ranks] : members) g.by_color[color] = std::make_shared<Group>(g.world, std::move(ranks));
}

void hold(Group& g, const Meeting& m) {
  switch (m.calls[0].kind) {
    case Kind::all_reduce: return do_all_reduce(g, m);
    case Kind::reduce_scatter: return do_reduce_scatter(g, m);
    case Kind::all_gather: return do_all_gather(m);
    case Kind::all_to_all: return do_all_to_all(m);
    case Kind::broadcast: return do_broadcast(m);
    case Kind::barrier: return;
    case Kind::split: return do_split(g, m);
  }
}

// Meeting number `id`; the ring grows when a rank runs further ahead than it is long.
Meeting& meeting(Group& g, uint64_t id) {
  const size_t n = g.ring.size();
  if (id - g.completed > n) {
    std::vector<Meeting> longer(2 * n);
    for (uint64_t i = g.completed + 1; i <= g.completed + n; ++i) longer[i % (2 * n)] = std::move(g.ring[i % n]);
    g.ring = std::move(longer);
  }
  return g.ring[id % g.ring.size()];
}

class ThreadComm final : public Comm {
 public:
  ThreadComm(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }
  const char* backend() const override { return "threads"; }

  Ticket all_reduce(Tensor x, Reduce op) override { return issue({.kind = Kind::all_reduce, .op = op, .in = x}); }
  Ticket reduce_scatter(Tensor in, Tensor out) override {
    check_reduce_scatter(in, out, size());
    return issue({.kind = Kind::reduce_scatter, .in = in, .out = out});
  }
  Ticket all_gather(Tensor in, Tensor out) override {
    check_all_gather(in, out, size());
    return issue({.kind = Kind::all_gather, .in = in, .out = out});
  }
  Ticket all_to_all(Tensor in, Tensor out) override {
    check_all_to_all(in, out, size());
    return issue({.kind = Kind::all_to_all, .in = in, .out = out});
  }
  Ticket broadcast(Tensor x, int root) override {
    require(root >= 0 && root < size(), "the root is a rank of the group");
    return issue({.kind = Kind::broadcast, .root = root, .in = x});
  }
  void barrier() override { issue({.kind = Kind::barrier}).wait(); }

  std::unique_ptr<Comm> split(int color) override {
    issue({.kind = Kind::split, .color = color}).wait();
    std::lock_guard lock(group_->world.mutex);
    auto group = group_->by_color.at(color);
    const auto& m = group->members;
    const int world_rank = group_->members[static_cast<size_t>(rank_)];
    const auto place = std::find(m.begin(), m.end(), world_rank) - m.begin();
    return std::make_unique<ThreadComm>(std::move(group), static_cast<int>(place));
  }

  [[noreturn]] void abort(int code) override {
    std::fflush(nullptr);
    std::_Exit(code);
  }

 protected:
  void wait(uint64_t id) override {
    std::unique_lock lock(group_->world.mutex);
    while (group_->completed < id) {
      require_all_present(id);
      group_->world.changed.wait(lock);
    }
  }

 private:
  // Throws when collective number `id` cannot happen any more because a rank has left before it.
  void require_all_present(uint64_t id) const {
    for (size_t p = 0; p < group_->members.size(); ++p) {
      const auto world_rank = static_cast<size_t>(group_->members[p]);
      if (group_->world.gone[world_rank])
        fail(cat("rank ", rank_, " cannot finish collective ", id, ": rank ", p, " has ended"), ExitCode::failure);
    }
  }

  Ticket issue(const Call& call) {
    Group& g = *group_;
    std::lock_guard lock(g.world.mutex);
    uint64_t& issued = g.issued[static_cast<size_t>(rank_)];
    const uint64_t id = issued + 1;
    Meeting& m = meeting(g, id);
    m.calls.resize(g.members.size());
    require(m.n_arrived == 0 || m.calls[m.first].fits(call), "all ranks issue the same collectives of equal sizes in the same order");
    if (m.n_arrived == 0) m.first = static_cast<size_t>(rank_);
    m.calls[static_cast<size_t>(rank_)] = call;
    if (++m.n_arrived == g.size()) {
      require_all_present(id);  // the buffers of a dead rank are gone
      hold(g, m);
      m.n_arrived = 0;
      ++g.completed;
      g.world.changed.notify_all();
    }
    issued = id;
    return {this, id};
  }

  std::shared_ptr<Group> group_;
  int rank_;
};

// Runs one rank; whatever happens, the others learn that it is gone.
void run_rank(const std::shared_ptr<Group>& group, int rank, const std::function<void(Comm&)>& body) {
  std::exception_ptr error;
  try {
    ThreadComm comm(group, rank);
    body(comm);
  } catch (...) {
    error = std::current_exception();
  }
  World& world = group->world;
  std::lock_guard lock(world.mutex);
  if (!world.error) world.error = error;
  world.gone[static_cast<size_t>(rank)] = true;
  world.changed.notify_all();
}

}  // namespace

void run_thread_world(int size, const std::function<void(Comm&)>& body) {
  World world(size);
  std::vector<int> ranks(static_cast<size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto group = std::make_shared<Group>(world, std::move(ranks));
  std::vector<std::thread> threads;
  for (int r = 1; r < size; ++r) threads.emplace_back(run_rank, std::cref(group), r, std::cref(body));
  run_rank(group, 0, body);
  for (auto& t : threads) t.join();
  if (world.error) std::rethrow_exception(world.error);
}

}  // namespace rk
