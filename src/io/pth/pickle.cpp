#include "io/pth/pickle.h"

#include <cstring>

#include "base/error.h"
#include "io/pth/machine.h"
#include "io/utf8.h"

namespace rk::pickle {
namespace {

// Opcodes of the pickle protocols that torch.save and plain data need.
enum Op : uint8_t {
  mark = '(',
  stop = '.',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  none = 'N',
  binpersid = 'Q',
  reduce_op = 'R',
  binstring = 'T',
  short_binstring = 'U',
  binunicode = 'X',
  append = 'a',
  build_op = 'b',
  global_op = 'c',
  empty_dict = '}',
  appends = 'e',
  binget = 'h',
  long_binget = 'j',
  empty_list = ']',
  binput = 'q',
  long_binput = 'r',
  setitem = 's',
  tuple = 't',
  empty_tuple = ')',
  setitems = 'u',
  binfloat = 'G',
  binbytes = 'B',
  short_binbytes = 'C',
  proto = 0x80,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  long1 = 0x8a,
  long4 = 0x8b,
  short_binunicode = 0x8c,
  binunicode8 = 0x8d,
  binbytes8 = 0x8e,
  empty_set = 0x8f,
  additems = 0x90,
  frozenset = 0x91,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
};

std::string hex(uint8_t byte) {
  const char* digits = "0123456789abcdef";
  return {'0', 'x', digits[byte >> 4], digits[byte & 15]};
}

}  // namespace

std::span<const Ref> Object::items(Ref r) const {
  const Value& v = values[r];
  if (v.kind == Kind::tuple) return {tuple_items.data() + v.first, v.n};
  return containers[v.n];
}

void Machine::refuse(const std::string& why) const { fail(cat(source_.name, ": offset ", source_.origin + opcode_at_, ": ", why)); }

std::string_view Machine::take(uint64_t n) {
  const uint64_t left = source_.bytes.size() - position_;
  if (n > left || n > max_stream_bytes) refuse(cat("the stream is cut off: ", n, " bytes are declared and ", left, " are left"));
  const std::string_view bytes(reinterpret_cast<const char*>(source_.bytes.data()) + position_, n);
  position_ += n;
  return bytes;
}

template <class T>
T Machine::number() {
  T value;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}

std::string_view Machine::line() {
  const std::string_view rest(reinterpret_cast<const char*>(source_.bytes.data()) + position_,
                              std::min<size_t>(source_.bytes.size() - position_, 1024));
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) refuse("a name has no end");
  position_ += end + 1;
  return rest.substr(0, end);
}

Ref Machine::add(Value v) {
  if (object_.values.size() >= max_values) refuse(cat("it holds more than ", max_values, " values"));
  object_.values.push_back(v);
  return static_cast<Ref>(object_.values.size() - 1);
}

Ref Machine::add_integer(int64_t v) {
  Value value(Kind::integer, true);
  value.integer = v;
  return add(value);
}

Ref Machine::add_text(Kind kind, std::string_view bytes) {
  Value v(kind, true, bytes.size());
  v.text = bytes.data();
  return add(v);
}

Ref Machine::add_owned_text(Kind kind, std::string bytes) {
  n_owned_bytes_ += bytes.size();
  if (n_owned_bytes_ > max_owned_bytes) refuse(cat("its converted texts exceed ", max_owned_bytes, " bytes"));
  object_.owned.push_back(std::move(bytes));
  return add_text(kind, object_.owned.back());
}

Ref Machine::add_container(Kind kind) {
  object_.containers.emplace_back();
  return add(Value(kind, false, object_.containers.size() - 1));
}

Ref Machine::add_tuple(std::span<const Ref> items) {
  Value v(Kind::tuple, true, items.size());
  v.first = object_.tuple_items.size();
  for (Ref r : items) v.hashable = v.hashable && object_.at(r).hashable;
  object_.tuple_items.insert(object_.tuple_items.end(), items.begin(), items.end());
  return add(v);
}

void Machine::push(Ref r) { stack_.push_back(r); }

Ref Machine::pop() {
  const Ref r = top();
  stack_.pop_back();
  return r;
}

Ref Machine::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("a value is taken from an empty stack");
  return stack_.back();
}

std::vector<Ref> Machine::pop_to_mark() {
  if (marks_.empty()) refuse("an opcode needs a mark, and there is none");
  std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

void Machine::remember(uint64_t key) {
  const Ref r = top();
  if (memo_.size() + far_memo_.size() >= max_memo) refuse(cat("it remembers more than ", max_memo, " values"));
  if (key < memo_.size()) {
    memo_[key] = r;
  } else if (key == memo_.size()) {
    memo_.push_back(r);
  } else {
    far_memo_[key] = r;
  }
}

void Machine::recall(uint64_t key) {
  if (const auto it = far_memo_.find(key); it != far_memo_.end()) return push(it->second);
  if (key >= memo_.size()) refuse(cat("value ", key, " is recalled and was never remembered"));
  push(memo_[key]);
}

Object Machine::run() {
  if (source_.bytes.size() > max_stream_bytes && source_.layout == Layout::zip)
    refuse(cat("the pickle has ", source_.bytes.size(), " bytes, at most ", max_stream_bytes, " are accepted"));
  while (!stopped_) {
    opcode_at_ = position_;
    if (position_ >= max_stream_bytes) refuse(cat("the pickle has more than ", max_stream_bytes, " bytes"));
    if (position_ == source_.bytes.size()) refuse("the pickle ends without its STOP");
    execute(number<uint8_t>());
  }
  if (stack_.size() != 1 || !marks_.empty()) refuse(cat("the pickle ends with ", stack_.size(), " values instead of one"));
  object_.root = stack_[0];
  object_.end = position_;
  return std::move(object_);
}

void Machine::execute(uint8_t opcode) {
  if (execute_constant(opcode) || execute_text(opcode) || execute_container(opcode) || execute_memo(opcode)) return;
  switch (opcode) {
    case proto: {
      const int version = number<uint8_t>();
      if (version > 5) refuse(cat("pickle protocol ", version, " is unknown"));
      return;
    }
    case frame: {
      const auto n = number<uint64_t>();
      if (n > source_.bytes.size() - position_) refuse(cat("a frame of ", n, " bytes does not fit the stream"));
      return;
    }
    case global_op: {
      const std::string_view module = line();
      return global(module, line());
    }
    case stack_global: {
      const Ref name = pop(), module = pop();
      expect(module, Kind::text, "a module's name");
      expect(name, Kind::text, "a global's name");
      return global(object_.text(module), object_.text(name));
    }
    case reduce_op: return reduce();
    case build_op: return build();
    case binpersid: return persistent_id();
    case stop: stopped_ = true; return;
    default: refuse(cat("opcode ", hex(opcode), " is not allowed in a file of tensors"));
  }
}

bool Machine::execute_constant(uint8_t opcode) {
  switch (opcode) {
    case none: push(add(Value(Kind::none, true))); return true;
    case newtrue:
    case newfalse: {
      Value v(Kind::boolean, true);
      v.integer = opcode == newtrue;
      push(add(v));
      return true;
    }
    case binint: push(add_integer(number<int32_t>())); return true;
    case binint1: push(add_integer(number<uint8_t>())); return true;
    case binint2: push(add_integer(number<uint16_t>())); return true;
    case long1: long_integer(number<uint8_t>()); return true;
    case long4: {
      const auto n = number<int32_t>();
      if (n < 0) refuse(cat("an integer of ", n, " bytes"));
      long_integer(static_cast<uint64_t>(n));
      return true;
    }
    case binfloat: {
      Value v(Kind::real, true);
      v.real = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
      push(add(v));
      return true;
    }
    default: return false;
  }
}

void Machine::long_integer(uint64_t n) {
  const std::string_view bytes = take(n);
  if (n > 8) return push(add_text(Kind::big_integer, bytes));
  uint64_t value = n > 0 && (static_cast<uint8_t>(bytes.back()) & 0x80u) ? ~uint64_t{0} : 0;
  std::memcpy(&value, bytes.data(), n);
  push(add_integer(static_cast<int64_t>(value)));
}

bool Machine::execute_text(uint8_t opcode) {
  switch (opcode) {
    case short_binunicode: text_value(number<uint8_t>()); return true;
    case binunicode: text_value(number<uint32_t>()); return true;
    case binunicode8: text_value(number<uint64_t>()); return true;
    case short_binstring: byte_text(number<uint8_t>()); return true;
    case binstring: byte_text(number<uint32_t>()); return true;
    case short_binbytes: push(add_text(Kind::bytes, take(number<uint8_t>()))); return true;
    case binbytes: push(add_text(Kind::bytes, take(number<uint32_t>()))); return true;
    case binbytes8: push(add_text(Kind::bytes, take(number<uint64_t>()))); return true;
    default: return false;
  }
}

void Machine::text_value(uint64_t n) {
  const std::string_view text = take(n);
  if (!is_utf8(text)) refuse("a text is not UTF-8");
  push(add_text(Kind::text, text));
}

// Python 2's str: ASCII in practice, else read as Latin-1.
void Machine::byte_text(uint64_t n) {
  const std::string_view bytes = take(n);
  if (is_utf8(bytes)) return push(add_text(Kind::text, bytes));
  push(add_owned_text(Kind::text, utf8_from_latin1(bytes)));
}

bool Machine::execute_container(uint8_t opcode) {
  switch (opcode) {
    case mark: marks_.push_back(stack_.size()); return true;
    case empty_list: push(add_container(Kind::list)); return true;
    case empty_dict: push(add_container(Kind::dict)); return true;
    case empty_set: push(add_container(Kind::set)); return true;
    case empty_tuple: push(add_tuple({})); return true;
    case tuple: push(add_tuple(pop_to_mark())); return true;
    case tuple1:
    case tuple2:
    case tuple3: {
      Ref items[3];
      const size_t n = opcode - tuple1 + 1u;
      for (size_t i = n; i-- > 0;) items[i] = pop();
      push(add_tuple({items, n}));
      return true;
    }
    case append: {
      const Ref item = pop();
      extend(Kind::list, "a list", {&item, 1});
      return true;
    }
    case appends: extend(Kind::list, "a list", pop_to_mark()); return true;
    case additems: extend(Kind::set, "a set", pop_to_mark()); return true;
    case frozenset: {
      const std::vector<Ref> items = pop_to_mark();
      push(add_container(Kind::set));
      extend(Kind::set, "a set", items);
      Value& v = object_.values[top()];
      v.kind = Kind::frozen_set;
      v.hashable = true;
      return true;
    }
    case setitem: {
      const Ref value = pop(), key = pop();
      const Ref pair[2] = {key, value};
      set_items(top(), pair);
      return true;
    }
    case setitems: {
      const std::vector<Ref> pairs = pop_to_mark();
      set_items(top(), pairs);
      return true;
    }
    default: return false;
  }
}

void Machine::count_items(size_t n) {
  n_items_ += n;
  if (n_items_ > max_items) refuse(cat("its containers hold more than ", max_items, " items"));
}

void Machine::extend(Kind kind, const char* what, std::span<const Ref> items) {
  const Value& v = expect(top(), kind, what);
  for (Ref r : items)
    if (kind == Kind::set && !object_.at(r).hashable) refuse("an element of a set is of a kind that cannot be one");
  count_items(items.size());
  std::vector<Ref>& into = object_.containers[v.n];
  into.insert(into.end(), items.begin(), items.end());
}

void Machine::set_items(Ref dict, std::span<const Ref> pairs) {
  const Value& v = object_.at(dict);
  if (v.kind != Kind::dict && v.kind != Kind::ordered_dict) refuse("an item is set in something that is no dictionary");
  if (pairs.size() % 2 != 0) refuse("a key has no value");
  for (size_t i = 0; i < pairs.size(); i += 2)
    if (!object_.at(pairs[i]).hashable) refuse("a key of a dictionary is of a kind that cannot be one");
  count_items(pairs.size());
  std::vector<Ref>& into = object_.containers[v.n];
  into.insert(into.end(), pairs.begin(), pairs.end());
}

bool Machine::execute_memo(uint8_t opcode) {
  switch (opcode) {
    case binput: remember(number<uint8_t>()); return true;
    case long_binput: remember(number<uint32_t>()); return true;
    case memoize: remember(memo_.size() + far_memo_.size()); return true;
    case binget: recall(number<uint8_t>()); return true;
    case long_binget: recall(number<uint32_t>()); return true;
    default: return false;
  }
}

void Machine::global(std::string_view module, std::string_view name) {
  const Global* g = find_global(module, name);
  if (!g)
    refuse(cat("it names ", printable(module), ".", printable(name),
               ", which no file of tensors needs; nothing was run. Only load files that you trust in other programs"));
  Value v(g->function == Function::dtype ? Kind::dtype : Kind::callable, true, globals_.size());
  v.text = g->name.data();
  globals_.push_back(g);
  push(add(v));
}

// The attributes of an OrderedDict (state_dict's _metadata) carry no tensors.
void Machine::build() {
  const Value& state = object_.at(pop());
  if (state.kind != Kind::dict && state.kind != Kind::ordered_dict) refuse("attributes are given by something that is no dictionary");
  if (object_.at(top()).kind != Kind::ordered_dict) refuse("attributes are given to something that is no OrderedDict");
}

Object parse(const Source& source) { return Machine(source).run(); }

std::string repr(const Object& o, Ref r) {
  const Value& v = o.at(r);
  switch (v.kind) {
    case Kind::none: return "None";
    case Kind::boolean: return v.integer ? "True" : "False";
    case Kind::integer: return std::to_string(v.integer);
    case Kind::real: return cat(v.real);
    case Kind::text: return cat("'", o.text(r), "'");
    case Kind::tuple: break;
    default: return "<value>";
  }
  std::string text = "(";
  for (Ref item : o.items(r)) {
    if (text.size() > 1) text += ", ";
    text += o.at(item).kind == Kind::tuple ? "(...)" : repr(o, item);
  }
  return text + (v.n == 1 ? ",)" : ")");
}

}  // namespace rk::pickle
