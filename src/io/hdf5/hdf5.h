// HDF5 files (serial, thread-safe library): the few calls that checkpoints, exports and the golden runner need.
// Errors are bad_input naming file and dataset; HDF5's own error stack is never printed. Locks are not needed where the
// file system has none (HDF5_USE_FILE_LOCKING is set to FALSE before the library starts).
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "io/tensor_file.h"

namespace rk {

// Owner of an open HDF5 file for reading. All element types of DType; bf16 is a declared float type
// (sign 1, exponent 8, mantissa 7, bias 127).
class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::string& path);
  Hdf5Reader(Hdf5Reader&&) noexcept;
  Hdf5Reader& operator=(Hdf5Reader&&) noexcept;
  ~Hdf5Reader();

  std::vector<std::string> datasets() const;  // full paths without the leading '/', sorted
  bool has(const std::string& dataset) const;
  TensorInfo info(const std::string& dataset) const;
  // Flat elements [first, first + n) of a dataset of any rank in row-major order, converted to the requested type.
  void read(const std::string& dataset, int64_t first, int64_t n, DType as, void* destination) const;
  std::vector<double> read_doubles(const std::string& dataset) const;
  std::vector<int64_t> read_ints(const std::string& dataset) const;
  std::optional<double> number_attribute(const std::string& dataset, const std::string& name) const;
  std::vector<int64_t> ints_attribute(const std::string& dataset, const std::string& name) const;       // empty: absent
  std::optional<std::string> text_attribute(const std::string& object, const std::string& name) const;  // "" = the root
  // Where in the file the numbers of a dataset lie, one behind another in the type that info() tells; nothing where they are spread or
  // converted.
  std::optional<uint64_t> place(const std::string& dataset) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Writes a new file PATH (truncating), closes and fsyncs it in finish(). A write error (full disk) throws; the unfinished
// file is then removed by the destructor. The caller chooses a temporary name.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::string& path);
  Hdf5Writer(Hdf5Writer&&) noexcept;
  ~Hdf5Writer();

  // Creates groups as needed. Chunked in 4 MiB pieces when larger, contiguous otherwise; no compression.
  void write(const std::string& dataset, DType dtype, const std::vector<int64_t>& shape, const void* data);
  // In pieces: create, then write flat ranges of it.
  void create(const std::string& dataset, DType dtype, const std::vector<int64_t>& shape);
  void write_range(const std::string& dataset, int64_t first, int64_t n, const void* data);
  void close(const std::string& dataset);  // no more of it follows; finish() closes what is open
  void attribute(const std::string& object, const std::string& name, const std::string& text);
  void attribute(const std::string& object, const std::string& name, double number);
  void attribute(const std::string& object, const std::string& name, const std::vector<int64_t>& numbers);
  void finish();

  // A flat dataset whose numbers the caller writes to the file itself, past the library, when settle() has returned: the place of the
  // first.
  uint64_t reserve(const std::string& dataset, DType dtype, int64_t n);
  // Closes the file, which is then as long as it will be, without a word to the disk. The file is the caller's from then on.
  void settle();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rk
