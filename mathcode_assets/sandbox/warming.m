1;  % Run once in a warm Octave, before any snippet: files of functions are read, and generators seeded.
try
  x = mean ([1 2 3]); x = median ([1 2 3]); x = std ([1 2 3]); x = var ([1 2 3]); x = mode ([1 2 2]);
  x = linspace (0, 1, 5); x = polyfit ([1 2 3], [1 4 9], 2); x = polyval ([1 2], 3); x = roots ([1 -3 2]);
  x = conv ([1 2], [1 3]); x = deconv ([1 5 6], [1 2]); x = polyder ([1 2 3]); x = polyint ([1 2 3]); x = poly ([1 2]);
  x = factorial (5); x = nchoosek (5, 2); x = primes (20); x = isprime (7); x = factor (12); x = gcd (4, 6); x = lcm (4, 6);
  x = fzero (@(t) t - 1, [0 3]); x = fminsearch (@(t) (t - 1) ^ 2, 0); x = fsolve (@(t) t ^ 2 - 2, 1);
  x = quad (@(t) t, 0, 1); x = quadgk (@(t) t, 0, 1); x = integral (@(t) t, 0, 1); x = trapz ([1 2 3]);
  x = num2str (pi); x = num2str ([1 2]); x = mat2str ([1 2]); x = strsplit ("a b", " "); x = strjoin ({"a"}, ",");
  x = int2str (3); x = rats (0.5); x = cross ([1 0 0], [0 1 0]); x = dot ([1 2], [3 4]); x = trace ([1 2; 3 4]);
  x = rank ([1 2; 3 4]); x = null ([1 1]); x = inv ([1 2; 3 4]); x = det ([1 2; 3 4]); x = [1 2; 3 4] \ [1; 2];
  [u, v] = eig ([2 1; 1 2]); x = expm (zeros (2)); x = norm ([3 4]); x = kron ([1 2], [1; 1]); x = fft ([1 0]);
  x = deg2rad (180); x = isrow (1); x = repmat (1, 2); x = circshift ([1 2], 1); x = meshgrid (1:2); x = nthroot (8, 3);
catch
end_try_catch
% The kernel refuses these; Octave's own functions would return -1 or 127 and go on.
function varargout = system (varargin)
  error ("Octave:refused", "system: starting programs: Operation not permitted");
end
function varargout = popen (varargin)
  error ("Octave:refused", "popen: starting programs: Operation not permitted");
end
function varargout = fork (varargin)
  error ("Octave:refused", "fork: starting processes: Operation not permitted");
end
function varargout = exec (varargin)
  error ("Octave:refused", "exec: starting programs: Operation not permitted");
end
% Ends of a snippet never leave a dump of the workspace.
crash_dumps_octave_core (false);
sighup_dumps_octave_core (false);
sigterm_dumps_octave_core (false);
rand ("twister", 0); randn ("twister", 0); rande ("twister", 0); randg ("twister", 0); randp ("twister", 0);
lasterr (""); lastwarn ("");
clear
