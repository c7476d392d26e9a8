// Internals of the pickle reader: the stack machine.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "io/pth/allow_list.h"
#include "io/pth/pickle.h"

namespace rk::pickle {

class Machine {
 public:
  explicit Machine(const Source& source) : source_(source) {}
  Object run();

 private:
  [[noreturn]] void refuse(const std::string& why) const;  // at the opcode being executed

  // bytes of the stream
  std::string_view take(uint64_t n);
  template <class T>
  T number();
  std::string_view line();

  // values and the stack
  Ref add(Value v);
  Ref add_integer(int64_t v);
  Ref add_text(Kind kind, std::string_view bytes);
  Ref add_owned_text(Kind kind, std::string bytes);
  Ref add_container(Kind kind);
  Ref add_tuple(std::span<const Ref> items);
  void push(Ref r);
  Ref pop();
  Ref top() const;
  std::vector<Ref> pop_to_mark();
  void remember(uint64_t key);
  void recall(uint64_t key);

  // opcodes
  void execute(uint8_t opcode);
  bool execute_constant(uint8_t opcode);
  bool execute_text(uint8_t opcode);
  bool execute_container(uint8_t opcode);
  bool execute_memo(uint8_t opcode);
  void set_items(Ref dict, std::span<const Ref> pairs);
  void count_items(size_t n);
  void extend(Kind kind, const char* what, std::span<const Ref> items);
  void long_integer(uint64_t n);
  void text_value(uint64_t n);
  void byte_text(uint64_t n);
  void global(std::string_view module, std::string_view name);
  void build();

  // what torch's functions make (machine_torch.cpp)
  void reduce();
  Ref call(const Global& g, std::span<const Ref> arguments);
  Ref add_tensor(Tensor t);
  Ref call_tensor(const Global& g, std::span<const Ref> arguments);
  Ref call_parameter(std::span<const Ref> arguments);
  Ref call_ordered_dict(std::span<const Ref> arguments);
  Ref call_set(std::span<const Ref> arguments);
  Ref call_device(std::span<const Ref> arguments);
  Ref call_encode(std::span<const Ref> arguments);
  void persistent_id();
  void view_of(Storage& s, Ref view) const;
  void check_view(const Tensor& t, const Storage& s) const;
  int64_t integer(Ref r, const char* what) const;
  bool boolean(Ref r, const char* what) const;
  std::vector<int64_t> integers(Ref r, const char* what) const;
  const Value& expect(Ref r, Kind kind, const char* what) const;

  Source source_;
  size_t position_ = 0, opcode_at_ = 0;
  bool stopped_ = false;
  size_t n_items_ = 0, n_owned_bytes_ = 0;
  Object object_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;
  std::vector<Ref> memo_;  // keys 0, 1, 2, ...
  std::unordered_map<uint64_t, Ref> far_memo_;
  std::vector<const Global*> globals_;  // of the values of kinds callable and dtype
};

}  // namespace rk::pickle
