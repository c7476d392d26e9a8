#include "shard/host_state.h"

#include <algorithm>

#include "base/thread_signals.h"
#include "kernels/adamw/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/step_control/op.h"

namespace rk {
namespace {

constexpr int64_t kPieceElements = int64_t{16} << 20;  // long enough for the bus and for all cores
constexpr size_t kComing = 4, kGoing = 3;              // pieces under way
constexpr size_t kScratch = size_t{4} << 20;           // of sums of squares over one piece

int64_t piece_elements(const std::vector<int64_t>& sizes) {
  return std::min(kPieceElements, *std::max_element(sizes.begin(), sizes.end()));
}
size_t staging_bytes(const std::vector<int64_t>& sizes, DType narrow, bool holds_weights) {
  const auto n = static_cast<size_t>(piece_elements(sizes));
  return n * (kComing * sizeof(float) + (holds_weights ? 0 : kGoing * size_of(narrow))) + kStepDecisions * sizeof(double);
}
size_t memory_bytes(const std::vector<int64_t>& sizes, DType narrow, bool holds_weights) {
  size_t n = 0;
  for (int64_t size : sizes) n += static_cast<size_t>(size);
  return n * (4 * sizeof(float) + (holds_weights ? size_of(narrow) : 0));
}

}  // namespace

size_t HostState::n_bytes(const std::vector<int64_t>& sizes, DType narrow, bool holds_weights) {
  return memory_bytes(sizes, narrow, holds_weights) + staging_bytes(sizes, narrow, holds_weights);
}

HostState::HostState(Gpu& gpu, DType narrow, const std::vector<Part>& parts, int threads)
    : gpu_(gpu), pool_(threads), scratch_(Buffer(Device::cpu, kScratch)), join_(gpu), down_(gpu), up_(gpu) {
  std::vector<int64_t> sizes;
  for (const Part& p : parts) sizes.push_back(p.n);
  const bool holds_weights = parts[0].w.data == nullptr;
  memory_ = Buffer(Device::pinned, memory_bytes(sizes, narrow, holds_weights));
  staging_ = Buffer(Device::pinned, staging_bytes(sizes, narrow, holds_weights));
  // The host's arrays one behind another, so that each is walked through in one run.
  BufferCursor memory(memory_), staging(staging_);
  for (Tensor Tensors::*what : {&Tensors::g, &Tensors::master, &Tensors::m, &Tensors::v})
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts_.size() <= i) parts_.emplace_back();
      parts_[i].t.*what = memory.take(DType::f32, parts[i].n);
    }
  std::vector<std::vector<UpdateGroup>> groups;
  const int64_t step = piece_elements(sizes);
  for (size_t i = 0; i < parts.size(); ++i) {
    PartState& part = parts_[i];
    part.t.w = holds_weights ? memory.take(narrow, parts[i].n) : parts[i].w;
    part.first_piece = pieces_.size();
    for (int64_t begin = 0; begin < parts[i].n; begin += step) {
      const int64_t n = std::min(step, parts[i].n - begin);
      pieces_.push_back({i, begin, n});
      std::vector<UpdateGroup> of_piece;
      for (const UpdateGroup& g : parts[i].groups) {
        if (g.end <= begin || (!of_piece.empty() && of_piece.back().end == n)) continue;
        of_piece.push_back({std::min(g.end - begin, n), g.lr_scale, g.decay});
      }
      groups.push_back(std::move(of_piece));
    }
    part.end_piece = pieces_.size();
  }
  groups_ = UpdateGroupTables(Exec{}, groups);
  for (size_t i = 0; i < kComing; ++i) coming_.emplace_back().staging = staging.take(DType::f32, step);
  for (size_t i = 0; i < (holds_weights ? 0 : kGoing); ++i) going_.emplace_back().staging = staging.take(narrow, step);
  decision_ = staging.take(DType::f64, kStepDecisions);
  received_.reserve(parts.size());
  ring_.resize(2 * parts.size() + 16);
  n_updated_ = parts_.size();
  thread_ = std::thread([this] { work(); });
}

HostState::~HostState() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

template <class Condition>
void HostState::wait_for(const Condition& condition) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ || condition(); });
  if (error_) std::rethrow_exception(error_);
}

void HostState::push(const Job& job) {
  wait_for([&] { return pushed_ - done_ < ring_.size(); });
  {
    const std::lock_guard lock(mutex_);
    ring_[pushed_++ % ring_.size()] = job;
  }
  changed_.notify_all();
}

void HostState::settle() {
  wait_for([&] { return done_ == pushed_; });
  up_.synchronize();
}

void HostState::start_step() { squares_ = 0; }  // settled: squares() of the step before was waited for, and updates leave it alone

void HostState::receive(size_t part, const Tensor& from, int slot, bool first, bool last) {
  received_.push_back({.kind = Job::Kind::gradients, .part = part, .from = from, .slot = slot, .first = first, .last = last});
}

void HostState::hand_over(int slot) {
  queued_.record(gpu_);
  queued_.hold(join_.stream());
  Slot& s = slots_[static_cast<size_t>(slot)];
  s.ready.record(join_.stream());
  {
    const std::lock_guard lock(mutex_);
    s.open = true;
  }
  for (const Job& job : received_) push(job);
  push({.kind = Job::Kind::slot_end, .slot = slot});
  received_.clear();
}

void HostState::hold_until_taken(int slot, CUstream_st* stream) {
  const Slot& s = slots_[static_cast<size_t>(slot)];
  wait_for([&] { return !s.open; });
  s.taken.hold(stream);
}

double HostState::squares() {
  wait_for([&] { return done_ == pushed_; });
  return squares_;
}

void HostState::update(const Exec& ex, const AdamWRule& rule) {
  copy(ex, rule.decision, decision_);
  decided_.record(gpu_);
  {
    const std::lock_guard lock(mutex_);
    n_updated_ = 0;
  }
  push({.kind = Job::Kind::update, .rule = rule});
}

bool HostState::updated(size_t part) {
  const std::lock_guard lock(mutex_);
  return n_updated_ > part || error_;
}

void HostState::hold_until_updated(size_t part, CUstream_st* stream) {
  wait_for([&] { return n_updated_ > part; });
  if (!going_.empty()) parts_[part].uploaded.hold(stream);
}

void HostState::bring_up(size_t part, const Tensor& to) {
  queued_.record(gpu_);
  queued_.hold(up_.stream());
  queue_copy(up_.stream(), parts_[part].t.w, to);
}

void HostState::refresh(const Exec& ex, size_t part) {
  const Exec host{.pool = ex.pool};
  const PartState& p = parts_[part];
  for (size_t i = p.first_piece; i < p.end_piece; ++i) {
    const Tensor master = of_piece(p.t.master, pieces_[i]), w = of_piece(p.t.w, pieces_[i]);
    if (going_.empty()) {
      run(host, Cast{.x = master, .y = w});
      continue;
    }
    const Tensor staged = going_[0].staging.slice(0, pieces_[i].n);
    run(host, Cast{.x = master, .y = staged});
    copy(ex, staged, w);
    synchronize(ex);
  }
}

void HostState::work() {
  leave_signals_to_others();
  gpu_.make_current();
  std::unique_lock lock(mutex_);
  while (true) {
    if (n_coming_ == 0) {
      changed_.wait(lock, [&] { return stop_ || taken_ < pushed_; });
      if (stop_) return;
    }
    const bool has_job = taken_ < pushed_;
    const Job job = has_job ? ring_[taken_ % ring_.size()] : Job{};
    taken_ += has_job;
    lock.unlock();
    try {
      // Further copies are queued before those under way are waited for.
      if (has_job) {
        do_job(job);
      } else {
        finish_oldest();
      }
    } catch (...) {
      lock.lock();
      error_ = std::current_exception();
      changed_.notify_all();
      return;
    }
    lock.lock();
    // Gradients count as done when they are in the sum.
    if (n_coming_ == 0) done_ = taken_;
    changed_.notify_all();
  }
}

void HostState::do_job(const Job& job) {
  if (job.kind == Job::Kind::gradients) return take_gradients(job);
  if (job.kind == Job::Kind::update) return update_parts(job);
  Slot& slot = slots_[static_cast<size_t>(job.slot)];
  slot.taken.record(down_.stream());
  const std::lock_guard lock(mutex_);
  slot.open = false;
}

void HostState::take_gradients(const Job& job) {
  slots_[static_cast<size_t>(job.slot)].ready.hold(down_.stream());
  const PartState& part = parts_[job.part];
  for (size_t i = part.first_piece; i < part.end_piece; ++i) {
    if (n_coming_ == coming_.size()) finish_oldest();
    Coming& c = coming_[(oldest_ + n_coming_++) % coming_.size()];
    c.piece = i;
    c.first = job.first;
    c.last = job.last;
    const Tensor from = of_piece(job.from, pieces_[i]);
    const bool straight = job.first && from.dtype == DType::f32;
    c.staged = c.staging;
    c.staged.dtype = from.dtype;
    c.staged = straight ? Tensor{} : c.staged.slice(0, from.numel());
    queue_copy(down_.stream(), from, straight ? of_piece(part.t.g, pieces_[i]) : c.staged);
    c.arrived.record(down_.stream());
  }
}

void HostState::finish_oldest() {
  Coming& c = coming_[oldest_];
  oldest_ = (oldest_ + 1) % coming_.size();
  --n_coming_;
  c.arrived.wait();
  const Exec host{.pool = &pool_, .scratch = &scratch_};
  const Tensor g = of_piece(parts_[pieces_[c.piece].part].t.g, pieces_[c.piece]);
  const Tensor sum = c.last ? Tensor{&squares_, {1}, DType::f64, Device::cpu} : Tensor{};
  if (c.staged && c.first) run(host, Cast{.x = c.staged, .y = g});
  const Tensor added = c.staged && !c.first ? c.staged : Tensor{};
  if (added || sum) run(host, AddSquares{.x = added, .y = g, .out = sum});
}

void HostState::update_parts(const Job& job) {
  while (n_coming_ > 0) finish_oldest();
  decided_.wait();
  const bool applies = decision_.as<double>()[kApply] != 0;
  const Exec host{.pool = &pool_, .scratch = &scratch_};
  for (size_t p = 0; p < parts_.size(); ++p) {
    const PartState& part = parts_[p];
    if (applies && gate_) gate_->before_update(p, nullptr);
    for (size_t i = part.first_piece; applies && i < part.end_piece; ++i) {
      const Piece& piece = pieces_[i];
      const Tensor place = of_piece(part.t.w, piece);
      Going* going = going_.empty() ? nullptr : &going_[next_going_++ % going_.size()];
      if (going) going->left.wait();
      const Tensor w = going ? going->staging.slice(0, piece.n) : place;
      run(host, AdamW{.p = of_piece(part.t.master, piece),
                      .g = of_piece(part.t.g, piece),
                      .m = of_piece(part.t.m, piece),
                      .v = of_piece(part.t.v, piece),
                      .w = w,
                      .ends = groups_[i].ends,
                      .lr_scale = groups_[i].lr_scale,
                      .weight_decay = groups_[i].decay,
                      .decision = decision_,
                      .lr = job.rule.lr,
                      .beta1 = job.rule.beta1,
                      .beta2 = job.rule.beta2,
                      .eps = job.rule.eps,
                      .decay = job.rule.weight_decay});
      if (!going) continue;
      queue_copy(up_.stream(), w, place);
      going->left.record(up_.stream());
    }
    if (applies && !going_.empty()) parts_[p].uploaded.record(up_.stream());
    {
      const std::lock_guard lock(mutex_);
      n_updated_ = p + 1;
    }
    changed_.notify_all();
  }
}

}  // namespace rk
