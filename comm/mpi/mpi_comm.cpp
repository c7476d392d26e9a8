#include "comm/mpi/mpi_comm.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "comm/collective_args.h"
#include "comm/ordered_reduce.h"

namespace rk {
namespace {

// Below this many bytes an all_reduce sends everything to everyone: one round of messages instead of two.
constexpr size_t kSmallBytes = 16 << 10;

// Slice `index` of `size` slices of x, all of the same length but for the last ones.
Tensor slice_of(const Tensor& x, int index, int size) {
  const int64_t n = x.numel(), length = (n + size - 1) / size;
  const int64_t begin = std::min(n, index * length);
  return x.slice(begin, std::min(length, n - begin));
}

std::byte* bytes_of(const Tensor& x) { return static_cast<std::byte*>(x.data); }

}  // namespace

void MpiProgress::add(MpiComm* comm) {
  comms_.push_back(comm);
  for (auto& s : shown_)
    if (!s) return s.store(comm);
}

void MpiProgress::remove(MpiComm* comm) {
  std::erase(comms_, comm);
  for (auto& s : shown_)
    if (s == comm) s = nullptr;
}

bool MpiProgress::advance() {
  bool moved = false;
  for (MpiComm* c : comms_) moved |= c->advance();
  return moved;
}

size_t MpiProgress::describe(char* text, size_t n) const noexcept {
  const MpiComm* first = nullptr;
  uint64_t order = 0;
  for (const auto& s : shown_) {
    const MpiComm* comm = s.load(std::memory_order_acquire);
    const uint64_t oldest = comm ? comm->oldest() : 0;
    if (oldest && (!first || oldest < order)) first = comm, order = oldest;
  }
  return first ? first->describe(text, n) : 0;
}

MpiComm::MpiComm(MPI_Comm handle, size_t max_message_bytes, std::shared_ptr<MpiProgress> progress)
    : comm_(handle), max_message_bytes_(max_message_bytes), progress_(std::move(progress)) {
  check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  check_mpi(MPI_Comm_rank(comm_, &rank_));
  check_mpi(MPI_Comm_size(comm_, &size_));
  MPI_Comm host = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host));
  check_mpi(MPI_Comm_rank(host, &local_rank_));
  check_mpi(MPI_Comm_size(host, &local_size_));
  check_mpi(MPI_Comm_free(&host));
  parts_.resize(static_cast<size_t>(size_));
  std::vector<int> own(static_cast<size_t>(size_));
  std::iota(own.begin(), own.end(), 0);
  world_ranks_.resize(own.size());
  MPI_Group group = MPI_GROUP_NULL, world = MPI_GROUP_NULL;
  check_mpi(MPI_Comm_group(comm_, &group));
  check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world));
  check_mpi(MPI_Group_translate_ranks(group, size_, own.data(), world, world_ranks_.data()));
  check_mpi(MPI_Group_free(&group));
  check_mpi(MPI_Group_free(&world));
  progress_->add(this);
}

// With collectives still in flight (an error is on its way out) the handle is left to the end of the process.
MpiComm::~MpiComm() {
  progress_->remove(this);
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (!finalized && pending_.empty()) MPI_Comm_free(&comm_);
}

Ticket MpiComm::all_reduce(Tensor x, Reduce reduce) {
  const size_t n_bytes = x.n_bytes();
  const auto others = static_cast<size_t>(size_ - 1);
  const bool small = n_bytes <= kSmallBytes;
  Operation& op = start("all-reduce", n_bytes, others * (small ? n_bytes : slice_of(x, 0, size_).n_bytes()));
  op.op = reduce;
  if (small) {
    op.then = Then::sum;
    op.own = bytes_of(x);
    op.out = x;
    std::byte* part = op.staging.data();
    for (int p = 0; p < size_; ++p) {
      if (p == rank_) continue;
      receive(op, 0, p, part, n_bytes);
      send(op, 0, p, bytes_of(x), n_bytes);
      part += n_bytes;
    }
  } else {
    op.then = Then::sum_and_gather;
    op.whole = x;
    op.out = slice_of(x, rank_, size_);
    op.own = bytes_of(op.out);
    exchange_slices(op, x);
  }
  return started(op);
}

Ticket MpiComm::reduce_scatter(Tensor in, Tensor out) {
  check_reduce_scatter(in, out, size_);
  Operation& op = start("reduce-scatter", in.n_bytes(), static_cast<size_t>(size_ - 1) * out.n_bytes());
  op.op = Reduce::sum;
  op.then = Then::sum;
  op.out = out;
  op.own = slice_at(in, rank_, out.n_bytes());
  exchange_slices(op, in);
  return started(op);
}

Ticket MpiComm::all_gather(Tensor in, Tensor out) {
  check_all_gather(in, out, size_);
  Operation& op = start("all-gather", out.n_bytes(), 0);
  op.then = Then::nothing;
  std::byte* own = slice_at(out, rank_, in.n_bytes());
  if (own != in.data && in.n_bytes() > 0) std::memcpy(own, in.data, in.n_bytes());
  gather_slices(op, out);
  return started(op);
}

Ticket MpiComm::all_to_all(Tensor in, Tensor out) {
  check_all_to_all(in, out, size_);
  Operation& op = start("all-to-all", out.n_bytes(), 0);
  op.then = Then::nothing;
  const size_t slice = in.n_bytes() / static_cast<size_t>(size_);
  if (slice > 0) std::memcpy(slice_at(out, rank_, slice), slice_at(in, rank_, slice), slice);
  for (int step = 1; step < size_; ++step) {
    const int from = (rank_ + size_ - step) % size_;
    receive(op, 0, from, slice_at(out, from, slice), slice);
  }
  for (int step = 1; step < size_; ++step) {
    const int to = (rank_ + step) % size_;
    send(op, 0, to, slice_at(in, to, slice), slice);
  }
  return started(op);
}

Ticket MpiComm::broadcast(Tensor x, int root) {
  require(root >= 0 && root < size_, "the root is a rank of the group");
  Operation& op = start("broadcast", x.n_bytes(), 0);
  op.then = Then::nothing;
  for_each_chunk(x.n_bytes(), max_message_bytes_, [&](size_t offset, int n) {
    check_mpi(MPI_Ibcast(bytes_of(x) + offset, n, MPI_BYTE, root, comm_, add_request(op, root == rank_ ? -1 : root)));
  });
  return started(op);
}

// Other groups and earlier collectives move on meanwhile: another rank may be waiting for them before it comes here.
void MpiComm::barrier() {
  Operation& op = start("barrier", 0, 0);
  op.then = Then::nothing;
  check_mpi(MPI_Ibarrier(comm_, add_request(op, -1)));
  started(op).wait();
}

std::unique_ptr<Comm> MpiComm::split(int color) {
  wait_for_all();
  barrier();
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm_, color, rank_, &part));
  return std::make_unique<MpiComm>(part, max_message_bytes_, progress_);
}

void MpiComm::abort(int code) {
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

// The free operation whose staging fits best; a new one, or a larger staging, only when none does.
MpiComm::Operation& MpiComm::start(const char* kind, size_t n_bytes, size_t staging_bytes) {
  Operation* best = nullptr;
  for (Operation& op : operations_) {
    if (op.busy) continue;
    const bool fits = op.staging.size() >= staging_bytes, best_fits = best && best->staging.size() >= staging_bytes;
    const bool closer = !best || (fits ? op.staging.size() < best->staging.size() : op.staging.size() > best->staging.size());
    if (!best || (fits && !best_fits) || (fits == best_fits && closer)) best = &op;
  }
  if (!best) {
    best = &operations_.emplace_back();
    best->open = std::make_unique<std::atomic<int>[]>(static_cast<size_t>(size_));
  }
  if (best->staging.size() < staging_bytes) {
    best->staging = Buffer();  // the old one is given back first
    best->staging = Buffer(Device::cpu, staging_bytes);
  }
  best->requests.clear();
  best->peers.clear();
  best->active = 0;
  best->id = ++last_id_;
  best->kind = kind;
  best->n_bytes = n_bytes;
  best->order = progress_->next_order();
  return *best;
}

// Room for one more request that is under way. The place is good until the next one is added.
MPI_Request* MpiComm::add_request(Operation& op, int peer) {
  op.peers.push_back(peer);
  ++op.active;
  if (peer >= 0) op.open[static_cast<size_t>(peer)].fetch_add(1, std::memory_order_relaxed);
  return &op.requests.emplace_back();
}

Ticket MpiComm::started(Operation& op) {
  op.busy = true;
  pending_.push_back(&op);
  show_oldest();
  return {this, op.id};
}

// Every MPI allows tags up to 32767; a tag comes back after 16384 collectives, long after its first use.
int MpiComm::tag(const Operation& op, int phase) const { return static_cast<int>((2 * op.id + static_cast<uint64_t>(phase)) & 0x7fff); }

void MpiComm::send(Operation& op, int phase, int to, const std::byte* data, size_t n_bytes) {
  for_each_chunk(n_bytes, max_message_bytes_, [&](size_t offset, int n) {
    check_mpi(MPI_Isend(data + offset, n, MPI_BYTE, to, tag(op, phase), comm_, add_request(op, to)));
  });
}

void MpiComm::receive(Operation& op, int phase, int from, std::byte* data, size_t n_bytes) {
  for_each_chunk(n_bytes, max_message_bytes_, [&](size_t offset, int n) {
    check_mpi(MPI_Irecv(data + offset, n, MPI_BYTE, from, tag(op, phase), comm_, add_request(op, from)));
  });
}

void MpiComm::exchange_slices(Operation& op, const Tensor& whole) {
  const size_t part_bytes = op.out.n_bytes();
  std::byte* part = op.staging.data();
  for (int p = 0; p < size_; ++p) {
    if (p == rank_) continue;
    receive(op, 0, p, part, part_bytes);
    part += part_bytes;
  }
  for (int step = 1; step < size_; ++step) {  // each rank begins with its neighbour, so that no one is everybody's first
    const int p = (rank_ + step) % size_;
    const Tensor slice = slice_of(whole, p, size_);
    send(op, 0, p, bytes_of(slice), slice.n_bytes());
  }
}

void MpiComm::gather_slices(Operation& op, const Tensor& whole) {
  const Tensor own = slice_of(whole, rank_, size_);
  for (int step = 1; step < size_; ++step) {
    const Tensor slice = slice_of(whole, (rank_ + size_ - step) % size_, size_);
    receive(op, 1, (rank_ + size_ - step) % size_, bytes_of(slice), slice.n_bytes());
  }
  for (int step = 1; step < size_; ++step) send(op, 1, (rank_ + step) % size_, bytes_of(own), own.n_bytes());
}

void MpiComm::sum_parts(Operation& op) {
  const std::byte* part = op.staging.data();
  for (int p = 0; p < size_; ++p) {
    parts_[static_cast<size_t>(p)] = p == rank_ ? op.own : part;
    if (p != rank_) part += op.out.n_bytes();
  }
  ordered_reduce(op.out.dtype, op.op, parts_, op.out.data, op.out.numel());
}

bool MpiComm::messages_done(Operation& op) {
  if (op.active == 0) return true;
  int n = 0;
  completed_.resize(op.requests.size());
  check_mpi(MPI_Testsome(static_cast<int>(op.requests.size()), op.requests.data(), &n, completed_.data(), MPI_STATUSES_IGNORE));
  require(n != MPI_UNDEFINED, "requests that are under way are known to MPI");
  for (int i = 0; i < n; ++i) {
    const int peer = op.peers[static_cast<size_t>(completed_[static_cast<size_t>(i)])];
    if (peer >= 0) op.open[static_cast<size_t>(peer)].fetch_sub(1, std::memory_order_relaxed);
  }
  op.active -= n;
  return op.active == 0;
}

bool MpiComm::finish_phase(Operation& op) {
  op.requests.clear();
  op.peers.clear();
  const Then then = op.then;
  op.then = Then::nothing;
  if (then == Then::nothing) return true;
  sum_parts(op);
  if (then == Then::sum) return true;
  gather_slices(op, op.whole);
  return op.requests.empty();
}

bool MpiComm::advance() {
  bool moved = false;
  for (Operation* op : pending_) {
    if (messages_done(*op) && finish_phase(*op)) {
      op->busy = false;
      moved = true;
    }
  }
  if (moved) {
    std::erase_if(pending_, [](const Operation* op) { return !op->busy; });
    show_oldest();
  }
  return moved;
}

uint64_t MpiComm::oldest() const noexcept {
  const Operation* op = oldest_.load(std::memory_order_acquire);
  return op ? op->order.load() : 0;
}

size_t MpiComm::describe(char* text, size_t n) const noexcept {
  const Operation* op = oldest_.load(std::memory_order_acquire);
  if (!op) return 0;
  size_t used = 0;
  const auto add = [&](const char* format, auto... values) {
    if (used + 1 >= n) return;
    const int length = std::snprintf(text + used, n - used, format, values...);
    used = std::min(n - 1, used + static_cast<size_t>(std::max(length, 0)));
  };
  const size_t n_bytes = op->n_bytes;
  add(n_bytes > 0 ? "%s of %zu bytes" : "%s", op->kind.load(), n_bytes);
  constexpr int named = 16;
  int missing = 0;
  for (int p = 0; p < size_; ++p) {
    if (op->open[static_cast<size_t>(p)].load(std::memory_order_relaxed) <= 0) continue;
    if (++missing <= named) add(missing == 1 ? ", not exchanged yet with rank %d" : ", %d", world_ranks_[static_cast<size_t>(p)]);
  }
  if (missing > named) add(" and %d more", missing - named);
  return used;
}

bool MpiComm::pending(uint64_t id) const {
  return std::any_of(pending_.begin(), pending_.end(), [id](const Operation* op) { return op->id == id; });
}

void MpiComm::wait(uint64_t id) {
  if (!pending(id)) return;
  const auto began = std::chrono::steady_clock::now();
  while (pending(id))
    if (!progress_->advance()) sched_yield();  // ranks may outnumber cores
  progress_->waited(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

void MpiComm::wait_for_all() {
  while (!pending_.empty())
    if (!progress_->advance()) sched_yield();
}

}  // namespace rk
