%% Erlang distribution: a request with a reference, answered by a process that loops; the reference is awaited with a
%% time-out. This is the bare form of gen_server:call, without its monitor.
-module(calls).
-export([serve/1, call/1]).

serve([Targets]) ->
    [register(name(N), spawn(fun loop/0)) || N <- lists:seq(0, list_to_integer(Targets) - 1)],
    io:format("{\"address\": \"~s\"}~n", [node()]),
    io:get_line(""),
    halt().

loop() ->
    receive {From, Ref, Message} -> From ! {Ref, Message}, loop() end.

name(N) -> list_to_atom("echo" ++ integer_to_list(N)).

echo(Target, Message) ->
    Ref = make_ref(),
    Target ! {self(), Ref, Message},
    receive {Ref, Answer} -> Answer after 5000 -> exit(timeout) end.

call([Server, Targets, Bytes, WarmUp, Sequential, Concurrent | Callers]) ->
    Node = list_to_atom(Server),
    true = net_kernel:connect_node(Node),
    Count = list_to_integer(Targets),
    Message = binary:copy(<<"x">>, list_to_integer(Bytes)),
    First = {name(0), Node},
    sequential(First, Message, milliseconds(WarmUp)),
    Samples = lists:sort(sequential(First, Message, milliseconds(Sequential))),
    Length = length(Samples),
    io:format("{\"p50_us\": ~.2f, \"p99_us\": ~.2f, \"samples\": ~b, \"versions\": {\"erlang\": \"~s\"}",
              [lists:nth(Length div 2 + 1, Samples) / 1000, lists:nth(Length * 99 div 100 + 1, Samples) / 1000, Length,
               erlang:system_info(otp_release)]),
    [io:format(", \"calls_per_s_~s\": ~b",
               [C, concurrent(list_to_integer(C), Count, Node, Message, milliseconds(WarmUp), milliseconds(Concurrent))])
     || C <- Callers],
    io:format("}~n"),
    halt().

milliseconds(Seconds) -> round(list_to_float(Seconds) * 1000).

now_ns() -> erlang:monotonic_time(nanosecond).

sequential(Target, Message, Milliseconds) ->
    sequential(Target, Message, now_ns() + Milliseconds * 1000000, []).

sequential(Target, Message, Deadline, Samples) ->
    Began = now_ns(),
    Message = echo(Target, Message),
    Ended = now_ns(),
    case Ended < Deadline of
        true -> sequential(Target, Message, Deadline, [Ended - Began | Samples]);
        false -> [Ended - Began | Samples]
    end.

concurrent(Callers, Targets, Node, Message, WarmUp, Milliseconds) ->
    Done = counters:new(1, [write_concurrency]),
    Pids = [spawn(fun() -> caller({name(N rem Targets), Node}, Message, Done) end) || N <- lists:seq(0, Callers - 1)],
    timer:sleep(WarmUp),
    Before = counters:get(Done, 1),
    Began = now_ns(),
    timer:sleep(Milliseconds),
    Calls = counters:get(Done, 1) - Before,
    Elapsed = now_ns() - Began,
    [exit(Pid, kill) || Pid <- Pids],
    Calls * 1000000000 div Elapsed.

caller(Target, Message, Done) ->
    Message = echo(Target, Message),
    counters:add(Done, 1, 1),
    caller(Target, Message, Done).
