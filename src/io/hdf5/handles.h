// Internals shared by the HDF5 reader and writer: handles, element types, flat ranges.
#pragma once
#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"

namespace rk::h5 {

// Every use of the library happens inside a Session: one thread at a time (ranks may be threads of one process), with the
// library's own printing of errors off in this thread.
class Session {
 public:
  Session();

 private:
  std::unique_lock<std::mutex> lock_;
};

// Owner of one identifier. Must be destroyed inside a Session.
class Id {
 public:
  using Close = herr_t (*)(hid_t);
  Id() = default;
  Id(hid_t id, Close close) : id_(id), close_(close) {}
  Id(Id&& o) noexcept : id_(std::exchange(o.id_, H5I_INVALID_HID)), close_(o.close_) {}
  Id& operator=(Id&& o) noexcept {
    std::swap(id_, o.id_);
    std::swap(close_, o.close_);
    return *this;
  }
  ~Id() { reset(); }

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  // Whether closing went well; a file is only complete when its close was.
  bool reset() { return id_ < 0 || close_(std::exchange(id_, H5I_INVALID_HID)) >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

// The type of t in files, which is also its type in memory (little-endian).
Id type_of(DType t);
// The element type in which a stored type is handed out: itself, or i64 for unsigned 32 and 64 bit integers. False: not a number.
bool dtype_from(hid_t type, DType& t);

// A box of a row-major array.
struct Box {
  std::vector<hsize_t> start, count;
  int64_t n = 0;
};
// Cuts the flat range [first, first + n) of an array of this shape into boxes, in order.
std::vector<Box> boxes_of(const std::vector<int64_t>& shape, int64_t first, int64_t n);

}  // namespace rk::h5
