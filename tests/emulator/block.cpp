#include "emulator/block.h"

#include <x86intrin.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "emulator/cuda.h"
#include "emulator/fiber.h"
#include "emulator/memory.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace rk::cuda {
namespace emulator {
namespace {

constexpr int kMaxThreads = 1024;

enum class Doing { ready, at_barrier, in_warp, ended };

struct Copy {
  void* to;
  const void* from;
  bool valid;
  int group;
};

struct Thread {
  Context context;
  uint3 index{};
  Doing doing = Doing::ended;
  int barrier = 0;
  unsigned mask = 0;  // of the warp operation it waits in
  WarpWork work = nullptr;
  void* data = nullptr;
  int copy_group = 0;  // that is open
  std::vector<Copy> copies;
};

struct Barrier {
  int came = 0, expected = 0, votes = 0;
  int result = 0;  // votes of the last time
};

// The one multiprocessor, which runs one block at a time.
struct Machine {
  std::mutex busy;
  Order order = Order::forward;
  Stacks stacks{kMaxThreads};
  SharedMemory shared;
  std::vector<Thread> threads{kMaxThreads};
  Barrier barriers[16];
  const std::function<void()>* kernel = nullptr;
  int n_threads = 0, alive = 0, running = 0;
  int in_warp[kMaxThreads / 32]{}, ended[kMaxThreads / 32]{};  // threads of each warp
  int turns[kMaxThreads]{}, first_turn = 0, n_turns = 0;       // a ring of threads that can go on
  Context main;
  std::string failure;
};

// Made by the first kernel, and never given back: tests may start kernels until the end of the program.
Machine* the_machine = nullptr;
Machine& machine() { return *the_machine; }
Machine& made_machine() {
  static std::once_flag made;
  std::call_once(made, [] { the_machine = new Machine; });
  return *the_machine;
}

Thread& running_thread() {
  Machine& m = machine();
  return m.threads[static_cast<size_t>(m.running)];
}

void give_turn(int i) {
  Machine& m = machine();
  m.threads[static_cast<size_t>(i)].doing = Doing::ready;
  m.turns[(m.first_turn + m.n_turns++) % kMaxThreads] = i;
}

std::string text_of(const uint3& i) { return cat("(", i.x, ",", i.y, ",", i.z, ")"); }

// What each group of waiting threads waits for.
std::string who_waits() {
  const Machine& m = machine();
  std::string text;
  int told = 0;
  const auto same = [&](const Thread& a, const Thread& b) {
    return a.doing == b.doing && a.barrier == b.barrier && a.mask == b.mask && a.work == b.work;
  };
  for (int i = 0; i < m.n_threads && told < 8; ++i) {
    const Thread& t = m.threads[static_cast<size_t>(i)];
    int n = 1;
    while (i + n < m.n_threads && same(t, m.threads[static_cast<size_t>(i + n)])) ++n;
    const std::string what = t.doing == Doing::ended        ? "ended"
                             : t.doing == Doing::at_barrier ? cat("wait at barrier ", t.barrier)
                                                            : cat("wait in a warp operation of lanes ", t.mask);
    text += cat("; threads ", i, " to ", i + n - 1, " ", what);
    i += n - 1;
    ++told;
  }
  return text;
}

[[noreturn]] void leave_block() {
  switch_to(running_thread().context, machine().main, true);
  __builtin_unreachable();
}

// Goes on with the next thread that can; the running one comes back when it gets a turn.
void next_thread() {
  Machine& m = machine();
  if (m.n_turns == 0) {
    if (m.alive > 0) m.failure = cat("threads wait for each other for ever", who_waits());
    leave_block();
  }
  const int next = m.turns[m.first_turn];
  m.first_turn = (m.first_turn + 1) % kMaxThreads;
  --m.n_turns;
  Thread &from = running_thread(), &to = m.threads[static_cast<size_t>(next)];
  m.running = next;
  threadIdx = to.index;
  if (&from != &to) switch_to(from.context, to.context, from.doing == Doing::ended);
}

// In the order of turns.
template <class Visit>
void each(int first, int last, const Visit& visit) {
  if (machine().order == Order::forward) {
    for (int i = first; i < last; ++i) visit(i);
  } else {
    for (int i = last; i-- > first;) visit(i);
  }
}

void open_barrier(int id) {
  Machine& m = machine();
  Barrier& b = m.barriers[id];
  b.result = b.votes;
  b.came = b.votes = 0;
  each(0, m.n_threads, [&](int i) {
    const Thread& t = m.threads[static_cast<size_t>(i)];
    if (t.doing == Doing::at_barrier && t.barrier == id) give_turn(i);
  });
}

bool barrier_is_full(const Barrier& b) { return b.came > 0 && b.came == (b.expected == 0 ? machine().alive : b.expected); }

// Lanes of a warp for which the block has no thread.
int n_missing(int warp) { return std::max(0, 32 * (warp + 1) - machine().n_threads); }

// Does the operation that lane `lane` of a warp waits in, if all its lanes have come.
void try_warp(int first_thread, int lane) {
  Machine& m = machine();
  const int warp = first_thread / 32;
  const auto thread = [&](int l) -> Thread& { return m.threads[static_cast<size_t>(first_thread + l)]; };
  const unsigned mask = thread(lane).mask;
  const WarpWork work = thread(lane).work;
  if (m.in_warp[warp] + m.ended[warp] < std::popcount(mask) - n_missing(warp)) return;
  void* data[32] = {};
  for (int l = 0; l < std::min(32, m.n_threads - first_thread); ++l) {
    if (!(mask >> l & 1u) || thread(l).doing == Doing::ended) continue;
    const Thread& t = thread(l);
    if (t.doing != Doing::in_warp || t.mask != mask || t.work != work) return;
    data[l] = t.data;
  }
  if (work) work(data);
  each(0, 32, [&](int l) {
    if ((mask >> l & 1u) && first_thread + l < m.n_threads && thread(l).doing == Doing::in_warp) {
      --m.in_warp[warp];
      give_turn(first_thread + l);
    }
  });
}

void end_thread() {
  Machine& m = machine();
  running_thread().doing = Doing::ended;
  --m.alive;
  ++m.ended[m.running / 32];
  if (barrier_is_full(m.barriers[0])) open_barrier(0);
  const int first = m.running / 32 * 32;
  for (int l = 0; l < 32 && first + l < m.n_threads; ++l) {
    if (m.threads[static_cast<size_t>(first + l)].doing == Doing::in_warp) try_warp(first, l);
  }
  next_thread();
}

void thread_main() {
  arrived();
  std::string error;
  try {
    (*machine().kernel)();
  } catch (const std::exception& e) {
    error = e.what();
  }
  if (!error.empty()) stop(error);
  end_thread();
}

void run_block() {
  Machine& m = machine();
  m.failure.clear();
  m.first_turn = m.n_turns = 0;
  m.alive = m.n_threads;
  for (Barrier& b : m.barriers) b = {};
  std::fill(std::begin(m.in_warp), std::end(m.in_warp), 0);
  std::fill(std::begin(m.ended), std::end(m.ended), 0);
  m.shared.poison();
  for (int i = 0; i < m.n_threads; ++i) {
    Thread& t = m.threads[static_cast<size_t>(i)];
    const unsigned n = static_cast<unsigned>(i);
    t.context = m.stacks.begin(i, thread_main);
    t.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / (blockDim.x * blockDim.y)};
    t.copy_group = 0;
    t.copies.clear();
  }
  each(0, m.n_threads, [](int i) { give_turn(i); });
  const int first = m.turns[0];
  m.first_turn = 1;
  --m.n_turns;
  m.running = first;
  threadIdx = running_thread().index;
  switch_to(m.main, running_thread().context);
  if (m.failure.empty() && !m.shared.intact()) m.failure = "dynamic shared memory was written behind its end";
  if (!m.failure.empty())
    fail(cat("emulated kernel, block ", text_of(blockIdx), " of ", text_of({gridDim.x, gridDim.y, gridDim.z}), ", ", m.n_threads,
             " threads: ", m.failure),
         ExitCode::failure);
}

void check_sizes(const dim3& grid, const dim3& block, size_t shared) {
  const bool possible = grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535 && block.x <= 1024 && block.y <= 1024 &&
                        block.z <= 64 && uint64_t{block.x} * block.y * block.z <= kMaxThreads && block.x * block.y * block.z > 0 &&
                        shared <= kSharedLimit;
  if (!possible)
    fail(cat("no GPU starts a grid of ", text_of({grid.x, grid.y, grid.z}), " blocks of ", text_of({block.x, block.y, block.z}),
             " threads with ", shared, " bytes of shared memory"),
         ExitCode::failure);
}

}  // namespace

void set_order(Order order) { made_machine().order = order; }

void run(dim3 grid, dim3 block, size_t shared, const std::function<void()>& kernel) {
  Machine& m = made_machine();
  const std::lock_guard lock(m.busy);
  const int64_t n_blocks = int64_t{grid.x} * grid.y * grid.z;
  if (n_blocks == 0) return;
  check_sizes(grid, block, shared);
  const DeviceMemoryOpen open;
  m.kernel = &kernel;
  m.main = own_stack();
  m.n_threads = static_cast<int>(block.x * block.y * block.z);
  m.shared.resize(shared);
  gridDim = grid;
  blockDim = block;
  for (int64_t i = 0; i < n_blocks; ++i) {
    const auto b = static_cast<uint64_t>(m.order == Order::forward ? i : n_blocks - 1 - i);
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / (uint64_t{grid.x} * grid.y))};
    run_block();
  }
}

void* dynamic_shared() { return machine().shared.data(); }
int lane() { return machine().running % 32; }
long long clock() { return static_cast<long long>(__rdtsc()); }

void stop(const std::string& why) {
  machine().failure = cat("thread ", text_of(threadIdx), ": ", why);
  leave_block();
}

int barrier(int id, int n_threads, bool vote) {
  Machine& m = machine();
  if (id < 0 || id >= 16) stop(cat("there is no barrier ", id));
  if (n_threads % 32 != 0) stop(cat("barrier ", id, " counts whole warps, not ", n_threads, " threads"));
  Barrier& b = m.barriers[id];
  if (b.came > 0 && b.expected != n_threads)
    stop(cat("barrier ", id, " is waited at for ", b.expected, " and for ", n_threads, " threads"));
  b.expected = n_threads;
  ++b.came;
  b.votes += vote;
  Thread& t = running_thread();
  t.doing = Doing::at_barrier;
  t.barrier = id;
  if (barrier_is_full(b)) open_barrier(id);
  next_thread();
  return b.result;
}

void together(unsigned mask, WarpWork work, void* data) {
  Machine& m = machine();
  if (!(mask >> lane() & 1u)) stop(cat("takes part in a warp operation of lanes ", mask, " without being named"));
  Thread& t = running_thread();
  t.doing = Doing::in_warp;
  ++m.in_warp[m.running / 32];
  t.mask = mask;
  t.work = work;
  t.data = data;
  try_warp(m.running / 32 * 32, lane());
  next_thread();
}

void copy_later(void* to, const void* from, bool valid) {
  if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || (valid && reinterpret_cast<uintptr_t>(from) % 16 != 0))
    stop("a copy of 16 bytes is not aligned to 16 bytes");
  std::memset(to, 0xff, 16);
  Thread& t = running_thread();
  t.copies.push_back({to, from, valid, t.copy_group});
}

void close_copy_group() { ++running_thread().copy_group; }

void finish_copies(int pending_groups) {
  Thread& t = running_thread();
  const auto later =
      std::stable_partition(t.copies.begin(), t.copies.end(), [&](const Copy& c) { return c.group < t.copy_group - pending_groups; });
  std::for_each(t.copies.begin(), later, [](const Copy& c) {
    if (c.valid) {
      std::memcpy(c.to, c.from, 16);
    } else {
      std::memset(c.to, 0, 16);
    }
  });
  t.copies.erase(t.copies.begin(), later);
}

}  // namespace emulator

// This file is compiled without contraction.
float __fadd_rn(float x, float y) { return x + y; }
float __fsub_rn(float x, float y) { return x - y; }
float __fmul_rn(float x, float y) { return x * y; }
double __dadd_rn(double x, double y) { return x + y; }
double __dsub_rn(double x, double y) { return x - y; }
double __dmul_rn(double x, double y) { return x * y; }

}  // namespace rk::cuda

extern "C" void rookery_emulator_runs_backward(bool backward) {
  rk::cuda::emulator::set_order(backward ? rk::cuda::emulator::Order::backward : rk::cuda::emulator::Order::forward);
}
