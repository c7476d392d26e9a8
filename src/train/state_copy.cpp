#include "train/state_copy.h"

#include <algorithm>

#include "base/thread_signals.h"

namespace rk {
namespace {

constexpr size_t kGroupBytes = size_t{256} << 20;  // that are waited for at a time

}  // namespace

StateCopy::StateCopy(const Exec& copies) : ex_(copies) {
  if (!ex_.gpu) return;
  stream_ = std::make_unique<GpuStream>(*ex_.gpu);
  moment_ = std::make_unique<GpuEvent>(GpuEvent::Use::order);
  held_ = std::make_unique<GpuEvent>();
  complete_ = std::make_unique<GpuEvent>();
}

StateCopy::~StateCopy() {
  if (reserving_.joinable()) reserving_.join();
  if (stream_) stream_->synchronize();
}

void StateCopy::reserve(size_t n_bytes) {
  settle();
  refusal_.clear();
  reserving_ = std::thread([this, n_bytes] {
    leave_signals_to_others();
    try {
      if (ex_.gpu) ex_.gpu->make_current();
      memory_ = Buffer(ex_.gpu ? Device::pinned : Device::cpu, n_bytes);
    } catch (const std::exception& e) {
      refusal_ = e.what();
    }
  });
}

const std::string& StateCopy::settle() {
  if (reserving_.joinable()) reserving_.join();
  return refusal_;
}

void StateCopy::lay_out(const std::vector<Tensor>& sources) {
  places_.clear();
  BufferCursor cursor(memory_);
  for (const Tensor& t : sources) places_.push_back(static_cast<std::byte*>(cursor.take(t.dtype, t.numel()).data));
}

void StateCopy::begin(const std::vector<Tensor>& sources) {
  lay_out(sources);
  group_end_.clear();
  was_held_ = false;
  moment_->record(*ex_.gpu);
  moment_->hold(stream_->stream());
  size_t n_bytes = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    Tensor to = sources[i];
    to.data = places_[i];
    to.device = Device::pinned;
    queue_copy(stream_->stream(), sources[i], to);
    n_bytes += to.n_bytes();
    if (n_bytes < kGroupBytes && i + 1 < sources.size()) continue;
    if (arrived_.size() == group_end_.size()) arrived_.push_back(std::make_unique<GpuEvent>(GpuEvent::Use::order));
    arrived_[group_end_.size()]->record(stream_->stream());
    group_end_.push_back(i + 1);
    n_bytes = 0;
  }
  complete_->record(stream_->stream());
}

size_t StateCopy::group_of(size_t i) const {
  return static_cast<size_t>(std::upper_bound(group_end_.begin(), group_end_.end(), i) - group_end_.begin());
}

void StateCopy::wait(size_t i) const { arrived_[group_of(i)]->wait(); }

void StateCopy::hold(size_t i, CUstream_st* stream) {
  if (!was_held_) held_->record(stream);
  was_held_ = true;
  arrived_[group_of(i)]->hold(stream);
}

double StateCopy::stalled() const { return was_held_ && held_->done() ? std::max(0.0, 1e-3 * complete_->ms_since(*held_)) : 0; }

}  // namespace rk
