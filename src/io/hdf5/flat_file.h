// A new HDF5 file of flat datasets whose numbers go past the library to the places that it gave them: as fast as the disk takes them.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"

namespace rk {

class FlatFile {
 public:
  struct Dataset {
    std::string name;
    DType dtype = DType::f32;
    int64_t n = 0;
    std::vector<std::pair<std::string, std::vector<int64_t>>> numbers;  // attributes
    std::vector<std::pair<std::string, std::string>> texts;
  };
  // Lays PATH out, which the caller chose as a temporary name, and takes its room on the disk where the file system can: a full disk is
  // told before the first number. durable: finish() waits for the disk, which begins early.
  FlatFile(const std::string& path, const std::vector<Dataset>& datasets, bool durable);
  FlatFile(const FlatFile&) = delete;
  FlatFile& operator=(const FlatFile&) = delete;
  ~FlatFile();  // removes an unfinished file

  uint64_t n_bytes() const { return n_bytes_; }
  // Elements [first, first + n) of a dataset. By any thread.
  void write(size_t dataset, int64_t first, int64_t n, const void* data);
  void finish();

 private:
  std::string path_;
  bool durable_, finished_ = false;
  std::vector<std::pair<uint64_t, size_t>> places_;  // of the first element, and the bytes of one
  int fd_ = -1;
  uint64_t n_bytes_ = 0;
  std::atomic<uint64_t> not_started_{0};  // bytes that the disk was not told to begin with
};

}  // namespace rk
