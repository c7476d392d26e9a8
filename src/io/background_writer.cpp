#include "io/background_writer.h"

#include <algorithm>

namespace rk {

BackgroundWriter::BackgroundWriter(std::unique_ptr<TensorWriter> writer, Device memory, size_t n_bytes) : writer_(std::move(writer)) {
  for (Buffer& b : buffers_) b = Buffer(memory, std::min(n_bytes, kMostBytes));
  thread_ = std::thread([this] { work(); });
}

BackgroundWriter::~BackgroundWriter() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

const Buffer& BackgroundWriter::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return error_ || n_put_ - n_written_ < buffers_.size(); });
  check();
  return buffers_[n_put_ % buffers_.size()];
}

void BackgroundWriter::put(size_t n_bytes) {
  {
    std::lock_guard lock(mutex_);
    require(n_put_ - n_written_ < buffers_.size() && n_bytes <= buffers_[0].size(), "a buffer is put after it was taken");
    sizes_.push_back(n_bytes);
    ++n_put_;
  }
  changed_.notify_all();
}

void BackgroundWriter::finish() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return error_ || sizes_.empty(); });
    check();
  }
  writer_->finish();
}

void BackgroundWriter::check() {
  if (error_) std::rethrow_exception(error_);
}

void BackgroundWriter::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !sizes_.empty(); });
    if (stop_) return;
    const Buffer& buffer = buffers_[n_written_ % buffers_.size()];
    const size_t n_bytes = sizes_.front();
    lock.unlock();
    std::exception_ptr error;
    try {
      writer_->write(buffer.data(), n_bytes);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    sizes_.pop_front();
    ++n_written_;
    error_ = error;
    changed_.notify_all();
    if (error_) return;
  }
}

}  // namespace rk
